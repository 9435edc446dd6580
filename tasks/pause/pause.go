// Package pause stops and restarts the calls of a phone number ID, or of all: of both operations or of
// one, with a reason, and for a time or until it is resumed. Work is kept, and listing goes on. A pause is a key in
// Redis; the ledger's claim script looks at those of its phone number ID, and workers look several times a
// second at those for all, so the last call starts within a second.
package pause

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// Pause is a stop of the calls of one operation.
type Pause struct {
	PhoneNumberID string           `json:"phone_number_id,omitempty"` // "" for all
	Operation     ledger.Operation `json:"operation"`
	Reason        string           `json:"reason"`
	RequestedBy   string           `json:"requested_by,omitempty"`
	Since         time.Time        `json:"since"`
	Until         time.Time        `json:"until,omitzero"` // zero: until it is resumed
}

// The bounds of a pause.
const (
	MaxReason = ledger.MaxReason // characters
	MaxBy     = ledger.MaxBy
	MinTime   = time.Second
	MaxTime   = 365 * 24 * time.Hour
)

// Request asks for a pause.
type Request struct {
	PhoneNumberID string           // "" for all
	Operation     ledger.Operation // "" for both
	Reason        string           // required
	RequestedBy   string
	For           time.Duration // 0: until it is resumed
}

// ErrInvalid is returned, wrapped, when a request can't be carried out as it is; nothing was done.
var ErrInvalid = errors.New("invalid request")

// Set pauses, in place of a pause that is there, and returns what holds now: one Pause an operation.
func Set(ctx context.Context, rdb redis.UniversalClient, r Request) ([]Pause, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("pause: %w: %w", ErrInvalid, err)
	}
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pause: set: %w", err)
	}
	var set []Pause
	pipe := rdb.TxPipeline() // its keys are in one slot
	for _, op := range operations(r.Operation) {
		p := Pause{PhoneNumberID: r.PhoneNumberID, Operation: op, Reason: r.Reason, RequestedBy: r.RequestedBy, Since: now.UTC()}
		if r.For > 0 {
			p.Until = now.Add(r.For).UTC()
		}
		text, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("pause: set: %w", err)
		}
		pipe.Set(ctx, ledger.PauseKey(r.PhoneNumberID, op), text, r.For)
		set = append(set, p)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("pause: set: %w", err)
	}
	return set, nil
}

func (r Request) check() error {
	if err := checkScope(r.PhoneNumberID, r.Operation); err != nil {
		return err
	}
	if strings.TrimSpace(r.Reason) == "" {
		return errors.New("a pause needs a reason, which is shown wherever its users wait")
	}
	if err := ledger.CheckText("the reason", r.Reason, MaxReason); err != nil {
		return err
	}
	if err := ledger.CheckText("the requester", r.RequestedBy, MaxBy); err != nil {
		return err
	}
	if r.For != 0 && (r.For < MinTime || r.For > MaxTime) {
		return fmt.Errorf("a pause of %v: it is from 1s to 365 days, or without an end", r.For)
	}
	return nil
}

func checkScope(phoneNumberID string, op ledger.Operation) error {
	if phoneNumberID != "" {
		if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
			return err
		}
	}
	if op != "" && !op.Valid() {
		return fmt.Errorf("an operation that is neither %q nor %q", ledger.Block, ledger.Unblock)
	}
	return nil
}

// Clear ends the pauses of a phone number ID ("" for those of all), of both operations or of one, wakes the lanes,
// and returns the operations that were paused.
func Clear(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, op ledger.Operation) ([]ledger.Operation, error) {
	if err := checkScope(phoneNumberID, op); err != nil {
		return nil, fmt.Errorf("pause: %w: %w", ErrInvalid, err)
	}
	deleted := map[ledger.Operation]*redis.IntCmd{}
	pipe := rdb.TxPipeline()
	for _, o := range operations(op) {
		deleted[o] = pipe.Del(ctx, ledger.PauseKey(phoneNumberID, o))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("pause: clear: %w", err)
	}
	cleared := slices.DeleteFunc(operations(op), func(o ledger.Operation) bool { return deleted[o].Val() == 0 })
	if phoneNumberID != "" && len(cleared) > 0 {
		_ = rdb.Publish(ctx, ledger.WakeChannel, phoneNumberID).Err() // lanes look by themselves some seconds later
	}
	return cleared, nil
}

// Of returns the pauses that hold for phone number IDs: those for all first, then those of each, in order.
func Of(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs ...string) ([]Pause, error) {
	pipe := rdb.Pipeline()
	var asked []*redis.SliceCmd
	for _, id := range append([]string{""}, phoneNumberIDs...) {
		asked = append(asked, pipe.MGet(ctx, ledger.PauseKey(id, ledger.Block), ledger.PauseKey(id, ledger.Unblock)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("pause: read: %w", err)
	}
	var all []Pause
	for i, cmd := range asked {
		for k, v := range cmd.Val() {
			text, ok := v.(string)
			if !ok {
				continue
			}
			var p Pause
			if json.Unmarshal([]byte(text), &p) != nil {
				p = Pause{Reason: "unknown: the pause can't be read"} // it holds all the same
			}
			p.Operation = operations("")[k]
			p.PhoneNumberID = append([]string{""}, phoneNumberIDs...)[i]
			all = append(all, p)
		}
	}
	return all, nil
}

// Stops returns the first of the pauses that stops an operation of a phone number ID, false for none.
func Stops(all []Pause, phoneNumberID string, op ledger.Operation) (Pause, bool) {
	for _, p := range all {
		if p.Operation == op && (p.PhoneNumberID == "" || p.PhoneNumberID == phoneNumberID) {
			return p, true
		}
	}
	return Pause{}, false
}

// Who returns the name of the requester.
func (p Pause) Who() string { return cmp.Or(p.RequestedBy, "an unnamed requester") }

// Resume returns the command that ends the pause, of both operations.
func (p Pause) Resume() string {
	if p.PhoneNumberID == "" {
		return "wablock resume --all"
	}
	return "wablock resume --phone-number-id " + p.PhoneNumberID
}

// String describes a pause for people, with the next step.
func (p Pause) String() string {
	text := fmt.Sprintf("calls to %s are paused", p.Operation)
	if p.PhoneNumberID == "" {
		text += " for all phone number IDs"
	}
	if !p.Since.IsZero() {
		text += " since " + p.Since.Format(time.RFC3339)
	}
	text += " by " + p.Who() + ": " + p.Reason
	if !p.Until.IsZero() {
		return text + "; until " + p.Until.Format(time.RFC3339) + ", or `" + p.Resume() + "`"
	}
	return text + "; until `" + p.Resume() + "`"
}

func operations(op ledger.Operation) []ledger.Operation {
	if op == "" {
		return []ledger.Operation{ledger.Block, ledger.Unblock}
	}
	return []ledger.Operation{op}
}

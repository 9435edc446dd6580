package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxRecords is how many runs are remembered for each phone number ID.
const maxRecords = 100

// Trigger is what began a run.
type Trigger string

// The triggers.
const (
	ByCommand  Trigger = "command"
	BySchedule Trigger = "schedule"
)

// Record is what is remembered of one run. It names nobody.
type Record struct {
	RunID         string    `json:"run_id"`
	PhoneNumberID string    `json:"phone_number_id"`
	Trigger       Trigger   `json:"trigger"`
	Slot          time.Time `json:"slot,omitzero"` // of the schedule
	StartedAt     time.Time `json:"started_at"`
	EndedAt       time.Time `json:"ended_at"`
	Mode          Mode      `json:"mode"`
	Source        string    `json:"source"`
	Desired       int       `json:"desired"`
	Actual        int       `json:"actual"`
	ToBlock       int       `json:"to_block"`
	ToUnblock     int       `json:"to_unblock"`
	ToAdopt       int       `json:"to_adopt,omitempty"`
	Ambiguous     int       `json:"ambiguous,omitempty"`
	LeftAlone     int       `json:"left_alone,omitempty"`
	LikelyToFail  int       `json:"likely_to_fail,omitempty"`
	Rejected      int       `json:"rejected,omitempty"`
	Blocks        int       `json:"blocks_enqueued"`
	Unblocks      int       `json:"unblocks_enqueued"`
	Adopted       int       `json:"adopted,omitempty"`
	Hash          string    `json:"hash,omitempty"`
	Guards        []Trip    `json:"guards,omitempty"`
	Approved      bool      `json:"approved,omitempty"`
	Applied       bool      `json:"applied"`
	Error         string    `json:"error,omitempty"`
}

// Good reports whether the run did all that it was for. For one that only reports, guards say
// no more than what would be.
func (r Record) Good() bool {
	return r.Error == "" && (len(r.Guards) == 0 || r.Approved || r.Mode == Report)
}

// Duration is how long the run took.
func (r Record) Duration() time.Duration { return r.EndedAt.Sub(r.StartedAt) }

// History returns the last runs of a phone number ID, the newest first, at most limit of them.
func History(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, limit int) ([]Record, error) {
	lines, err := rdb.LRange(ctx, key(phoneNumberID, keyRuns), 0, int64(limit)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("reconcile: read history: %w", err)
	}
	records := make([]Record, 0, len(lines))
	for _, line := range lines {
		var r Record
		if json.Unmarshal([]byte(line), &r) == nil { // else a newer program's
			records = append(records, r)
		}
	}
	return records, nil
}

// lastGood returns the last good run, the zero Record when there was none.
func lastGood(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) (r Record, err error) {
	text, err := rdb.Get(ctx, key(phoneNumberID, keyGood)).Bytes()
	if errors.Is(err, redis.Nil) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

// remember writes a run down; with a slot, that the slot is done.
func remember(ctx context.Context, rdb redis.UniversalClient, r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reconcile: write history: %w", err)
	}
	runs := key(r.PhoneNumberID, keyRuns)
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LPush(ctx, runs, text)
		p.LTrim(ctx, runs, 0, maxRecords-1)
		if r.Good() {
			p.Set(ctx, key(r.PhoneNumberID, keyGood), text, 0)
		}
		if !r.Slot.IsZero() {
			markDone(ctx, p, doneKey(r.PhoneNumberID, kindRun), r.Slot.Unix())
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reconcile: write history: %w", err)
	}
	return nil
}

// lastDesired returns how long the list of a source was when it was believed last.
func lastDesired(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, s Source) (int, error) {
	n, err := rdb.HGet(ctx, key(phoneNumberID, keyDesired), s.ID()).Int()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reconcile: read the last run: %w", err)
	}
	return n, nil
}

// believe takes note of the length of a desired list, for the next run to compare.
func believe(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, s Source, n int) error {
	if err := rdb.HSet(ctx, key(phoneNumberID, keyDesired), s.ID(), n).Err(); err != nil {
		return fmt.Errorf("reconcile: write the run down: %w", err)
	}
	return nil
}

// maxUsed is how many approved plans are remembered for each phone number ID.
const maxUsed = 1000

// wasApproved reports whether a plan was approved and carried out before. Its hash can come
// again: once records are forgotten that were made since, and the same users are on the list
// again.
func wasApproved(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, hash string) (bool, error) {
	err := rdb.ZScore(ctx, key(phoneNumberID, keyUsed), hash).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reconcile: read approvals: %w", err)
	}
	return true, nil
}

// useApproval takes note that a plan was approved.
func useApproval(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, hash string) error {
	used := key(phoneNumberID, keyUsed)
	_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, used, redis.Z{Score: float64(time.Now().Unix()), Member: hash})
		p.ZRemRangeByRank(ctx, used, 0, -maxUsed-1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reconcile: write the approval down: %w", err)
	}
	return nil
}

package heard

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Window is the time from a user's message for which Meta lets the business block the user. Older messages that are told of
// have no effect.
const Window = 24 * time.Hour

// Kept is the time for which the times of messages are kept: behind Window they tell that a user can't be blocked.
const Kept = 7 * 24 * time.Hour

// Max bounds the users of a phone number ID whose times are kept; those who wrote last stay.
const Max = 200_000

// Ahead is the difference of clocks that the time of an event may show.
const Ahead = 5 * time.Minute

// MaxBatch bounds the events of one Note.
const MaxBatch = 1000

// Event tells that one person has written to a phone number ID.
type Event struct {
	// Names are the person's, at least one: a number, a BSUID.
	Names []user.ID
	// WaID is the person's WhatsApp ID, "" when it is not known: names that the ledger has learnt for it count too.
	WaID string
	At   time.Time
	// Weak says that the event may not open the window, such as a reaction: its time is not kept.
	Weak bool
}

// Outcome is the result of an Event.
type Outcome struct {
	// TooOld says that it lies more than Window back, and TooFar more than Ahead in the future: nothing was done.
	TooOld, TooFar bool
	// Dead are the names of the person that may have a dead letter.
	Dead []user.ID
}

func timesKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:heard" }

//go:embed lua/heard.lua
var heardLua string

var heardScript = redis.NewScript(heardLua) // stateless and shared

// ErrReply is returned, wrapped, when Redis answers a script with what the script never returns.
var ErrReply = errors.New("unexpected reply of a script")

// Note keeps the times of up to MaxBatch events of a phone number ID, the latest of each person, and returns an
// Outcome for each. To note an event again changes nothing.
func Note(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, events []Event) ([]Outcome, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if len(events) > MaxBatch {
		return nil, fmt.Errorf("heard: note: %d events, at most %d go at once", len(events), MaxBatch)
	}
	args := []any{Window.Milliseconds(), Kept.Milliseconds(), Max, Ahead.Milliseconds()}
	for _, e := range events {
		args = append(args, max(0, e.At.UnixMilli()), flag(!e.Weak), e.WaID, len(e.Names))
		for _, name := range e.Names {
			spellings := user.Spellings(name)
			args = append(args, user.Fold(name.Reveal()), len(spellings))
			for _, s := range spellings {
				args = append(args, s.Reveal())
			}
		}
	}
	keys := []string{timesKey(phoneNumberID), ledger.DeadKey(phoneNumberID), ledger.NamesKey(phoneNumberID)}
	replies, err := heardScript.Run(ctx, rdb, keys, args...).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("heard: note: %w", err)
	}
	if len(replies) != len(events) {
		return nil, fmt.Errorf("heard: note: %w", ErrReply)
	}
	outcomes := make([]Outcome, len(replies))
	for i, reply := range replies {
		words := strings.Fields(reply)
		outcomes[i] = Outcome{TooOld: reply == "o", TooFar: reply == "f"}
		for _, name := range words[1:] {
			if id, err := user.FromCanonical(name); err == nil {
				outcomes[i].Dead = append(outcomes[i].Dead, id)
			}
		}
	}
	return outcomes, nil
}

func flag(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// Closing returns users, under one name each has, whose windows close within a time, at most limit of them and those first that
// close first. A user of several names may come several times.
func Closing(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, within time.Duration, limit int) ([]user.ID, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("heard: closing: %w", err)
	}
	from := now.Add(-Window)
	names, err := rdb.ZRangeByScore(ctx, timesKey(phoneNumberID), &redis.ZRangeBy{
		Min: strconv.FormatInt(from.UnixMilli(), 10), Max: strconv.FormatInt(from.Add(within).UnixMilli(), 10), Count: int64(limit),
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("heard: closing: %w", err)
	}
	users := make([]user.ID, 0, len(names))
	for _, name := range names {
		if id, err := user.FromCanonical(name); err == nil {
			users = append(users, id)
		}
	}
	return users, nil
}

// Last returns when each entry's user wrote last, zero for not in the last 24 hours as far as is known.
func Last(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, entries []ledger.Entry) ([]time.Time, error) {
	names := make([][]user.ID, len(entries))
	for i, e := range entries {
		names[i] = []user.ID{e.User}
		if id, err := user.FromCanonical("+" + e.WaID); err == nil {
			names[i] = append(names[i], id)
		}
	}
	t, err := Read(ctx, rdb, phoneNumberID, names)
	for i, at := range t.Last {
		if t.Now.Sub(at) > Window {
			t.Last[i] = time.Time{}
		}
	}
	return t.Last, err
}

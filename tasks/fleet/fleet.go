// Package fleet shows the workers that run on a Redis, and what their lanes do: which phone number IDs they call,
// at which pace, and which of them they can't call and why. Each worker keeps two keys: its entry in the hash
// wablock:workers, and a hash of its lanes, wablock:worker:ID:lanes. Both go when it stops refreshing them.
//
// It decides nothing: package waiting says what follows for a user.
package fleet

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
)

// workersKey is a hash of the workers that run, by the ID that each has drawn. The whole of it expires when no
// worker refreshes its entry.
const workersKey = "wablock:workers"

// lanesKey is a hash of a worker's lanes, by phone number ID.
func lanesKey(worker string) string { return "wablock:worker:" + worker + ":lanes" }

// The heartbeat: an entry counts as that of a live worker until it has not been refreshed for lifetime.
const (
	beatEvery = 3 * time.Second
	lifetime  = 10 * time.Second
)

// MaxLanes bounds the lanes that one worker shows; those whose calls go are left out first.
const MaxLanes = 3000

// Worker describes a worker that runs.
type Worker struct {
	Expires   int64     `json:"expires"` // in ms, on Redis's clock
	Machine   string    `json:"machine"`
	PID       int       `json:"pid"`
	Version   string    `json:"version,omitempty"`
	GraphHost string    `json:"graph_host"`
	Since     time.Time `json:"since,omitzero"`     // it runs
	LastCall  time.Time `json:"last_call,omitzero"` // of any lane, answered or not
	// Ceiling is the rate limit that is configured for all phone number IDs but those in Numbers.
	Ceiling Ceiling            `json:"ceiling"`
	Numbers map[string]Ceiling `json:"numbers,omitempty"`
	// Lanes are those of the phone number IDs that were asked about, in order.
	Lanes []Lane `json:"-"`
}

// Ceiling is a configured rate limit: calls a second of all workers together, calls at once, users a call.
type Ceiling struct {
	Rate     float64
	Burst    int
	MaxUsers int
}

// CeilingOf returns the configured rate limit of a phone number ID.
func (w Worker) CeilingOf(phoneNumberID string) Ceiling {
	if c, ok := w.Numbers[phoneNumberID]; ok {
		return c
	}
	return w.Ceiling
}

// Where names the worker's process for people.
func (w Worker) Where() string { return fmt.Sprintf("process %d on %s", w.PID, w.Machine) }

// State is the state of a lane, as users see it.
type State string

// The states of a lane. That an operator has paused its calls is no state of it: see package pause.
const (
	Running State = "running"
	Halted  State = "halted" // the API refuses token, account or settings
	Outage  State = "outage" // whole calls fail one after another
	Full    State = "full"   // the blocklist is full: blocks wait, unblocks go
)

// Lane describes what one worker does for one phone number ID. Times are on the worker's clock.
type Lane struct {
	PhoneNumberID string    `json:"phone_number_id"`
	State         State     `json:"state"`
	Since         time.Time `json:"since,omitzero"`      // of the state; zero when it is running
	Code          int       `json:"code,omitempty"`      // of the API; 0 for none
	Reason        string    `json:"reason,omitempty"`    // the rule's name
	Help          string    `json:"help,omitempty"`      // what to do about it
	NextTrial     time.Time `json:"next_trial,omitzero"` // at the latest, while it is not running
	LastCall      time.Time `json:"last_call,omitzero"`  // zero for none so far
	LastServed    time.Time `json:"last_served,omitzero"`

	// Pace is the limiter's rate in force, in calls a second over all workers; 0 while it is not known. Pinned and
	// Capped are an operator's, 0 when not set.
	Pace         float64 `json:"pace,omitempty"`
	Pinned       float64 `json:"pinned,omitempty"`
	Capped       float64 `json:"capped,omitempty"`
	UsersPerCall int     `json:"users_per_call,omitempty"`
	// Limit is the limiter's reason for the last call that it refused, and LimitedUntil when the next may go; both
	// are zero once a call was let through.
	Limit        string    `json:"limit,omitempty"`
	LimitedUntil time.Time `json:"limited_until,omitzero"`
	// UsersPerSecond is the number of users that this worker alone has taken of late, 0 when it was not busy for long enough
	// to tell.
	UsersPerSecond float64 `json:"users_per_second,omitempty"`
}

// All returns the workers that run on a Redis with all of their lanes, by machine and process. It reads one hash, and
// one more of at most [MaxLanes] fields for each worker. The error may be [ErrFull].
func All(ctx context.Context, rdb redis.UniversalClient) ([]Worker, error) {
	return read(ctx, rdb, func(pipe redis.Pipeliner, key string) func() ([]string, error) {
		cmd := pipe.HVals(ctx, key)
		return cmd.Result
	})
}

// Of returns the workers with the lanes of some phone number IDs alone, which costs one command a worker, however many lanes it has.
func Of(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs ...string) ([]Worker, error) {
	return read(ctx, rdb, func(pipe redis.Pipeliner, key string) func() ([]string, error) {
		if len(phoneNumberIDs) == 0 {
			return func() ([]string, error) { return nil, nil }
		}
		cmd := pipe.HMGet(ctx, key, phoneNumberIDs...)
		return func() ([]string, error) {
			found, err := cmd.Result()
			var texts []string
			for _, v := range found {
				if text, ok := v.(string); ok {
					texts = append(texts, text)
				}
			}
			return texts, err
		}
	})
}

// ErrFull is returned where workers run but can't write their entries, as where Redis is full and lets not even a script
// that frees memory first write.
var ErrFull = errors.New("workers: those that run can't write that they do: Redis is full")

func read(
	ctx context.Context, rdb redis.UniversalClient, lanes func(pipe redis.Pipeliner, key string) func() ([]string, error),
) ([]Worker, error) {
	live, err := entries(ctx, rdb)
	if err != nil || len(live) == 0 {
		return nil, err
	}
	pipe := rdb.Pipeline()
	results := map[string]func() ([]string, error){}
	for id := range live {
		results[id] = lanes(pipe, lanesKey(id))
	}
	if pipe.Len() > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, fmt.Errorf("workers: %w", err)
		}
	}
	all := make([]Worker, 0, len(live))
	for id, w := range live {
		texts, err := results[id]()
		if err != nil {
			return nil, fmt.Errorf("workers: %w", err)
		}
		for _, text := range texts {
			var l Lane
			if json.Unmarshal([]byte(text), &l) == nil {
				w.Lanes = append(w.Lanes, l)
			}
		}
		slices.SortFunc(w.Lanes, func(a, b Lane) int { return strings.Compare(a.PhoneNumberID, b.PhoneNumberID) })
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Worker) int { return cmp.Or(strings.Compare(a.Machine, b.Machine), cmp.Compare(a.PID, b.PID)) })
	return all, nil
}

// entries returns the entries of workers that run, by ID.
func entries(ctx context.Context, rdb redis.UniversalClient) (map[string]Worker, error) {
	pipe := rdb.Pipeline()
	clock, found := pipe.Time(ctx), pipe.HGetAll(ctx, workersKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	live, stale := map[string]Worker{}, false
	for id, text := range found.Val() {
		var w Worker
		switch {
		case json.Unmarshal([]byte(text), &w) != nil:
		case w.Expires > clock.Val().UnixMilli():
			live[id] = w
		default:
			stale = stale || w.Expires+lifetime.Milliseconds()/2 < clock.Val().UnixMilli()
		}
	}
	// The hash goes with the last of its entries, unless a worker that can't write has put its end off.
	if len(live) == 0 && stale {
		return nil, ErrFull
	}
	return live, nil
}

// LanesOf returns the lanes of a phone number ID, of all workers.
func LanesOf(workers []Worker, phoneNumberID string) (lanes []Lane) {
	for _, w := range workers {
		for _, l := range w.Lanes {
			if l.PhoneNumberID == phoneNumberID {
				lanes = append(lanes, l)
			}
		}
	}
	return lanes
}

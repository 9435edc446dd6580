package waiting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
)

// Read returns what is known of a phone number ID but the time: 4 commands, and one for each worker.
func Read(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) (Facts, error) {
	f := Facts{PhoneNumberID: phoneNumberID}
	var err error
	if f.Pauses, err = pause.Of(ctx, rdb, phoneNumberID); err != nil {
		return f, fmt.Errorf("waiting: %w", err)
	}
	workers, err := fleet.Of(ctx, rdb, phoneNumberID)
	if f.Silent = errors.Is(err, fleet.ErrFull); err != nil && !f.Silent {
		return f, fmt.Errorf("waiting: %w", err)
	}
	f.Workers = len(workers)
	for _, w := range workers {
		f.Lanes = append(f.Lanes, w.Lanes...)
		if c := w.CeilingOf(phoneNumberID); f.Ceiling.Rate == 0 || c.Rate < f.Ceiling.Rate {
			f.Ceiling = c
		}
	}
	return f, nil
}

// Explain returns what each entry waits for, in the order given; the zero Reason for those that don't wait. What it costs
// does not depend on how many users wait: see [Read] and [ledger.Ledger.Places].
func Explain(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, entries []ledger.Entry) ([]Reason, error) {
	reasons := make([]Reason, len(entries))
	waits := false
	for _, e := range entries {
		waits = waits || e.State == ledger.Waiting
	}
	if !waits {
		return reasons, nil
	}
	f, err := Read(ctx, rdb, phoneNumberID)
	if err != nil {
		return nil, err
	}
	places, now, err := ledger.New(rdb, phoneNumberID).Places(ctx, entries)
	if err != nil {
		return nil, fmt.Errorf("waiting: %w", err)
	}
	f.Now = now
	for i, e := range entries {
		if e.State != ledger.Waiting {
			continue
		}
		u := User{Operation: e.Operation, Attempts: e.Attempts, Busy: e.Busy, Place: places[i]}
		if e.Failure != nil {
			u.Code = e.Failure.Code
		}
		reasons[i] = f.Of(u)
	}
	return reasons, nil
}

// Job holds what is known of a job whose users have not all ended.
type Job struct {
	Operation ledger.Operation
	ledger.Point
	Users int       // that have not ended
	Due   time.Time // of a delayed job; zero or past for one that is not put off
}

// Jobs returns what the last user of each job waits for, in the order given, and about when all will have gone out. What it
// costs depends on the number of jobs alone.
func Jobs(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, jobs []Job) ([]Reason, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	f, err := Read(ctx, rdb, phoneNumberID)
	if err != nil {
		return nil, err
	}
	points := make([]ledger.Point, len(jobs))
	for i, j := range jobs {
		points[i] = j.Point
	}
	ahead, now, err := ledger.New(rdb, phoneNumberID).AheadOf(ctx, points)
	if err != nil {
		return nil, fmt.Errorf("waiting: %w", err)
	}
	f.Now = now
	reasons := make([]Reason, len(jobs))
	for i, j := range jobs {
		reasons[i] = f.OfJob(j, ahead[i])
	}
	return reasons, nil
}

package figures

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxPending bounds the phone number IDs whose figures wait while Redis is away; those of further ones are dropped.
const maxPending = 10_000

// Recorder gathers the figures of one process, and adds them to those in Redis. It is safe for concurrent use.
type Recorder struct {
	rdb redis.UniversalClient

	mu      sync.Mutex
	pending map[string]Minute // by phone number ID
}

// NewRecorder returns a Recorder that has gathered nothing. Without Run, nothing reaches Redis but by Flush.
func NewRecorder(rdb redis.UniversalClient) *Recorder {
	return &Recorder{rdb: rdb, pending: map[string]Minute{}}
}

// Add adds what happened just now to the figures of a phone number ID.
func (r *Recorder) Add(phoneNumberID string, c Counts) { r.add(phoneNumberID, Minute{Counts: c}) }

// Learnt sets the learnt rate limit of a phone number ID, in calls a second.
func (r *Recorder) Learnt(phoneNumberID string, rate float64) {
	r.add(phoneNumberID, Minute{Rate: rate})
}

func (r *Recorder) add(phoneNumberID string, m Minute) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.pending[phoneNumberID]
	if !known && len(r.pending) >= maxPending {
		return
	}
	p.Counts = p.plus(m.Counts)
	if m.Rate > 0 {
		p.Rate = m.Rate
	}
	r.pending[phoneNumberID] = p
}

// Run flushes once a second until ctx ends, and once more then. While Redis is away figures wait, and go to the
// minute in which it is back.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = r.Flush(ctx) // the lanes log that Redis fails; the figures wait
		case <-ctx.Done():
			_ = r.Flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// Flush adds what was gathered to the current minute of Redis's clock. Where Redis does not answer at all it waits
// for the next Flush; where only the writing failed it is dropped, since a part may have been written.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	todo := r.pending
	r.pending = map[string]Minute{}
	r.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now, err := r.rdb.Time(ctx).Result()
	if err != nil {
		for id, m := range todo {
			r.add(id, m)
		}
		return fmt.Errorf("figures: flush: %w", err)
	}
	minute := minuteOf(now)
	pipe := r.rdb.Pipeline()
	for id, m := range todo {
		k, prefix, before := key(id, minute), strconv.FormatInt(minute%perSlot, 10), pipe.Len()
		for i, v := range m.values() {
			if *v > 0 {
				pipe.HIncrBy(ctx, k, prefix+fields[i], int64(*v))
			}
		}
		if m.Rate > 0 {
			pipe.HSet(ctx, k, prefix+fieldRate, int64(m.Rate*thousand+0.5))
		}
		if pipe.Len() > before {
			pipe.Expire(ctx, k, keptFor)
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("figures: flush: %w", err)
	}
	return nil
}

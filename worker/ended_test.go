package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// counting counts how often leave is asked for.
type counting struct {
	ratelimit.Limiter
	takes atomic.Int64
}

func (c *counting) Take(ctx context.Context, key ratelimit.Key) (ratelimit.Grant, error) {
	c.takes.Add(1)
	return c.Limiter.Take(ctx, key)
}

// TestEndedTasksAskForNoCall: the tasks of users who have ended, as those of single jobs have that one call carried, ask
// the limiter for nothing.
func TestEndedTasksAskForNoCall(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		limiter := &counting{Limiter: b.cfg.Limiter}
		b.cfg.Limiter = limiter
		b.run()
		job := b.enqueue(ledger.Block, "+16505550001")
		b.settled(job)
		<-time.After(time.Second)
		before := limiter.takes.Load()
		for i := range 5 { // each repeats what was asked for
			r := tasks.Request{
				Operation: ledger.Block, Users: job.Users, PhoneNumberID: phoneNumberID, Version: job.Version, Unlisted: true, JobID: fmt.Sprint("again-", i),
			}
			if _, err := b.producer.Enqueue(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			b.eventually("the task has ended", func() bool {
				s, err := b.producer.Tasks(t.Context(), r.JobID)
				return err == nil && s.Done()
			})
		}
		if n := limiter.takes.Load() - before; n > 0 {
			t.Errorf("the tasks asked %d times", n)
		}
		next := b.enqueue(ledger.Unblock, "+16505550001")
		b.settled(next)
	})
}

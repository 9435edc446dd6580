package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/lane"
)

const (
	orphanPoll  = 3 * time.Second // between looks for tasks whose worker has died
	orphanBatch = 200             // of a queue that are looked at, at a time
)

// orphans takes over the users of tasks whose worker has died: it marks those that the dead worker had
// no time to mark, sees to the dead letters that it had no time to put, and opens their lane, which
// claims them anew when the dead worker's claim has run out. asynq itself gives such a task to another
// worker after 30 to 120 s, and until then other workers may not know that its phone number ID has work.
type orphans struct {
	redis redis.UniversalClient
	lanes *lane.Pool
	// ensure puts users that were found dead into the dead-letter queue.
	ensure func(ctx context.Context, p queues.Payload, dead []user.ID) error
	log    *slog.Logger
	taken  map[string]time.Time // by task ID: the lease that ran out
}

// run looks for orphans until ctx ends.
func (o *orphans) run(ctx context.Context) {
	for {
		if sleep(ctx, orphanPoll/2+rand.N(orphanPoll)); ctx.Err() != nil {
			return
		}
		o.pass(ctx)
	}
}

func (o *orphans) pass(ctx context.Context) {
	found := map[string]time.Time{}
	for _, q := range ledger.Queues() {
		tasks, err := queues.Orphans(ctx, o.redis, q, orphanBatch, func(id string, lease time.Time) bool {
			if !o.taken[id].Equal(lease) {
				return false
			}
			found[id] = lease
			return true
		})
		if err != nil && ctx.Err() == nil {
			o.log.Error("worker: listing expired leases failed", keyError, err.Error())
		}
		for _, t := range tasks {
			if o.take(ctx, q, t.Payload) {
				found[t.TaskID] = t.Lease
			}
		}
	}
	o.taken = found
}

// take marks an orphan's users, sees to their dead letters and wakes their lane. It reports whether that is done.
func (o *orphans) take(ctx context.Context, q ledger.Queue, p queues.Payload) bool {
	if wait, err := dueIn(ctx, o.redis, p); err != nil || wait > 0 {
		// asynq hands it over to a handler, which puts it back or refuses it.
		return err == nil || errors.Is(err, queues.ErrMalformed)
	}
	dead, err := o.lanes.Mark(ctx, p, q)
	return err == nil && o.ensure(ctx, p, dead) == nil
}

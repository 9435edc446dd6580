package worker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

const (
	orphanPoll  = 3 * time.Second // between looks for tasks whose worker has died
	orphanBatch = 200             // of a queue that are looked at, at a time
)

// adoptOrphans sees to the users of tasks whose worker has died: it marks those that the dead
// worker had no time to mark, and opens their lane, which claims them anew when the dead
// worker's claim has run out. asynq itself gives such a task to another worker after 30 to
// 120 s, and until then nobody else may know that its phone number ID has work.
func (w *Worker) adoptOrphans(ctx context.Context) {
	adopted := map[string]time.Time{} // by task ID: the lease that ran out
	for {
		timer, stop := after(orphanPoll/2 + rand.N(orphanPoll))
		select {
		case <-ctx.Done():
			stop()
			return
		case <-timer:
		}
		found := map[string]time.Time{}
		for _, q := range ledger.Queues() {
			orphans, err := queues.Orphans(ctx, w.cfg.Redis, q, orphanBatch, func(id string, lease time.Time) bool {
				if !adopted[id].Equal(lease) {
					return false
				}
				found[id] = lease
				return true
			})
			if err != nil && ctx.Err() == nil {
				w.complain(w.cfg.Logger, "worker: Redis does not tell which tasks have lost their worker", err)
			}
			for _, o := range orphans {
				if w.adopt(ctx, q, o.Payload) {
					found[o.TaskID] = o.Lease
				}
			}
		}
		adopted = found
	}
}

// adopt marks an orphan's users and wakes their lane. It reports whether that is done.
func (w *Worker) adopt(ctx context.Context, q ledger.Queue, p queues.Payload) bool {
	if wait, err := w.early(ctx, p); err != nil || wait > 0 {
		return err == nil // asynq hands it over to somebody who puts it back
	}
	l, err := w.lanes.acquire(p.PhoneNumberID)
	if err != nil {
		return false
	}
	defer w.lanes.release(l)
	watch := l.watches.add(p.Operation, q, p.Version, p.Users)
	defer l.watches.drop(watch)
	if err := l.look(ctx, watch, p.Users); err != nil {
		return false
	}
	l.poke()
	return true
}

package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/tasks/deadletter"
)

const (
	syncFirst = 5 * time.Second // at the latest, from a worker's start, or a lapse, to a pass
	syncEvery = time.Hour
	syncPass  = 10 * time.Minute // at the most
	syncShare = 10               // one pass in so many times what the last one took, at the most
)

// syncDeadLetters makes the dead-letter queue fit the ledger, at the start, after each lapse, and every hour: a worker that
// dies, or loses Redis for long, between the two leaves entries of users who have succeeded, and dead users without one. So
// does a failover that loses the second of the two alone.
func syncDeadLetters(ctx context.Context, dead *deadletter.Queue, phoneNumberIDs []string, lapses <-chan struct{}, log *slog.Logger) {
	var took time.Duration
	for wait := rand.N(syncFirst); ; wait = spread(syncEvery) {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-lapses:
			sleep(ctx, max(rand.N(syncFirst), min(syncShare*took, syncEvery/2))) // other workers do the same
		}
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		pass, cancel := context.WithTimeout(ctx, syncPass)
		synced, err := dead.Sync(pass, phoneNumberIDs...)
		cancel()
		took = time.Since(began)
		if err != nil && ctx.Err() == nil {
			log.Error("worker: the dead-letter queue could not be looked through", keyError, err.Error())
		}
		if synced.Removed > 0 {
			log.Info("worker: dead letters of users who had succeeded since were left over, and removed", keyUsers, synced.Removed)
		}
		if synced.Put > 0 {
			log.Info("worker: dead letters that were missing were put", keyUsers, synced.Put)
		}
	}
}

package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/tasks/deadletter"
)

const (
	staleFirst = 5 * time.Second // at the latest, from a worker's start to its first pass
	staleEvery = time.Hour
	stalePass  = 10 * time.Minute // at the most
)

// syncDeadLetters makes the dead-letter queue fit the ledger: a worker that dies, or loses Redis for
// long, between the two leaves entries of users who have succeeded, and dead users without one.
func syncDeadLetters(ctx context.Context, dead *deadletter.Queue, phoneNumberIDs []string, log *slog.Logger) {
	for wait := rand.N(staleFirst); ; wait = spread(staleEvery) {
		if sleep(ctx, wait); ctx.Err() != nil {
			return
		}
		pass, cancel := context.WithTimeout(ctx, stalePass)
		synced, err := dead.Sync(pass, phoneNumberIDs...)
		cancel()
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

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

// removeStale removes dead letters that were left over: a worker that dies, or loses Redis for
// long, between the ledger and the dead-letter queue leaves those of users who have succeeded.
func removeStale(ctx context.Context, dead *deadletter.Queue, log *slog.Logger) {
	for wait := rand.N(staleFirst); ; wait = spread(staleEvery) {
		if pause(ctx, wait); ctx.Err() != nil {
			return
		}
		pass, cancel := context.WithTimeout(ctx, stalePass)
		n, err := dead.RemoveStale(pass)
		cancel()
		if err != nil && ctx.Err() == nil {
			log.Error("worker: the dead-letter queue could not be looked through", keyError, err.Error())
		}
		if n > 0 {
			log.Info("worker: dead letters of users who had succeeded since were left over, and removed", keyUsers, n)
		}
	}
}

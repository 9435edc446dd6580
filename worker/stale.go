package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	staleFirst = 5 * time.Second // at the latest, from a worker's start to its first pass
	staleEvery = time.Hour
	stalePass  = 10 * time.Minute // at the most
)

// removeStale removes dead letters that were left over: a worker that dies, or loses Redis for
// long, between the ledger and the dead-letter queue leaves those of users who have succeeded.
func (w *Worker) removeStale(ctx context.Context) {
	for wait := rand.N(staleFirst); ; wait = spread(staleEvery) {
		timer, stop := after(wait)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-timer:
		}
		pass, cancel := context.WithTimeout(ctx, stalePass)
		n, err := w.dead.RemoveStale(pass)
		cancel()
		if err != nil && ctx.Err() == nil {
			w.complain(w.cfg.Logger, "worker: the dead-letter queue could not be looked through", err)
		}
		if n > 0 {
			w.cfg.Logger.Info("worker: dead letters of users who had succeeded since were left over, and removed", keyUsers, n)
		}
	}
}

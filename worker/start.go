package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// wakeWaiting opens the lanes of phone number IDs that have users waiting, once at a worker's start:
// no task need be left that would lead there. While Redis fails it tries again.
func wakeWaiting(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs []string, wake func(string)) {
	for _, id := range phoneNumberIDs {
		for ctx.Err() == nil {
			b, err := ledger.New(rdb, id).Backlog(ctx)
			if err == nil && !b.Empty() {
				wake(id)
			}
			if err == nil {
				break
			}
			sleep(ctx, redisRetryDelay)
		}
	}
}

// Looks for tasks that producers of an older version enqueued.
const (
	indexFirst = 5 * time.Second // at the latest, from a worker's start
	indexEvery = 24 * time.Hour
)

// indexTasks puts them into the indexes of their phone number IDs.
func indexTasks(ctx context.Context, rdb redis.UniversalClient, log *slog.Logger) {
	for wait := rand.N(indexFirst); ; wait = spread(indexEvery) {
		if sleep(ctx, wait); ctx.Err() != nil {
			return
		}
		if err := queues.IndexAll(ctx, rdb); err != nil && ctx.Err() == nil {
			log.Error("worker: the tasks of older producers could not be indexed", keyError, err.Error())
		}
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

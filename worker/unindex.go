package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// unindexEvery is the time in which tasks that end gather. It is well below the shortest retention of a task, until
// whose end no other task has its ID.
const unindexEvery = 100 * time.Millisecond

// unindexer takes tasks that have ended out of the indexes of their phone number IDs, many at a time: one at a time they
// would cost a round trip each. What a worker that dies leaves there goes when an index is read. Safe for concurrent use.
type unindexer struct {
	redis redis.UniversalClient
	log   *slog.Logger
	some  chan struct{} // of capacity 1: tasks have ended

	mu    sync.Mutex
	ended map[indexOf][]string // task IDs
}

type indexOf struct {
	phoneNumberID string
	queue         ledger.Queue
}

func newUnindexer(rdb redis.UniversalClient, log *slog.Logger) *unindexer {
	return &unindexer{redis: rdb, log: log, some: make(chan struct{}, 1), ended: map[indexOf][]string{}}
}

// add has a task taken out soon.
func (u *unindexer) add(phoneNumberID string, q ledger.Queue, taskID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := indexOf{phoneNumberID, q}
	u.ended[of] = append(u.ended[of], taskID)
	select {
	case u.some <- struct{}{}:
	default:
	}
}

// run takes tasks out until ctx ends, and then those that are left.
func (u *unindexer) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-u.some:
			sleep(ctx, unindexEvery)
		case <-ctx.Done():
		}
		u.flush(context.WithoutCancel(ctx))
	}
}

func (u *unindexer) flush(ctx context.Context) {
	u.mu.Lock()
	ended := u.ended
	u.ended = map[indexOf][]string{}
	u.mu.Unlock()
	for of, ids := range ended {
		if err := queues.Unindex(ctx, u.redis, of.phoneNumberID, of.queue, ids...); err != nil {
			u.log.Warn("worker: the index of tasks still has some that ended", keyError, err.Error()) // until it is read
		}
	}
}

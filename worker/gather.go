package worker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// gatherTimeout bounds a pipeline: leases of asynq last thirty seconds, and those of what is in it have not run out.
const gatherTimeout = 5 * time.Second

// gatherer sends commands of many goroutines to Redis in few round trips: while some are under way, the next ones
// gather for one pipeline. The zero value is ready. Safe for concurrent use.
type gatherer struct {
	mu      sync.Mutex
	busy    bool
	waiting []gathering
}

// gathering is a command that waits to be queued in a pipeline, and to be told when that has run.
type gathering struct {
	queue func(redis.Cmdable)
	done  chan struct{}
}

// gather runs a command, and returns it when it has its reply or its error.
func gather[C redis.Cmder](g *gatherer, rdb redis.UniversalClient, run func(redis.Cmdable) C) C {
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		defer g.next(rdb)
		return run(rdb)
	}
	var cmd C
	w := gathering{queue: func(c redis.Cmdable) { cmd = run(c) }, done: make(chan struct{})}
	g.waiting = append(g.waiting, w)
	g.mu.Unlock()
	<-w.done
	return cmd
}

// next sends what has gathered, if anything.
func (g *gatherer) next(rdb redis.UniversalClient) {
	g.mu.Lock()
	defer g.mu.Unlock()
	batch := g.waiting
	g.waiting, g.busy = nil, len(batch) > 0
	if g.busy {
		go g.send(rdb, batch)
	}
}

func (g *gatherer) send(rdb redis.UniversalClient, batch []gathering) {
	defer g.next(rdb)
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // each command has its own error
		for _, w := range batch {
			w.queue(p)
		}
		return nil
	})
	for _, w := range batch {
		close(w.done)
	}
}

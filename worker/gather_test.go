package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/redistest"
)

// held holds the first result back until it is let go, and counts the pipelines of others.
type held struct {
	redistest.Hook
	began, free chan struct{}
	once        sync.Once
	pipelines   atomic.Int64
}

func (h *held) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "eval" {
			h.once.Do(func() {
				close(h.began)
				<-h.free
			})
		}
		return next(ctx, cmd)
	}
}

func (h *held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "eval" { // not those by which connections begin
			h.pipelines.Add(1)
		}
		return next(ctx, cmds)
	}
}

// TestGather: what is asked for while a command is under way goes in one pipeline, and each command has its own error.
func TestGather(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		if err := rdb.Set(t.Context(), "text", "no hash", 0).Err(); err != nil {
			t.Fatal(err)
		}
		for i := range 9 {
			if err := rdb.HSet(t.Context(), fmt.Sprint("task", i), "msg", "m").Err(); err != nil {
				t.Fatal(err)
			}
		}
		h := &held{began: make(chan struct{}), free: make(chan struct{})}
		rdb.(*redis.Client).AddHook(h)
		ends := new(gatherer)
		r := backoffRedis{rdb, ends}
		var all sync.WaitGroup
		write := func(key string) {
			err := r.HSet(t.Context(), key, "result", "1").Err()
			if refused := err != nil && strings.Contains(err.Error(), "WRONGTYPE"); refused != (key == "text") || err != nil && !refused {
				t.Errorf("%s: %v", key, err)
			}
		}
		all.Go(func() { write("first") })
		<-h.began
		all.Go(func() { write("text") })
		for i := range 9 {
			all.Go(func() { write(fmt.Sprint("task", i)) })
		}
		for n := 0; n < 10; {
			ends.mu.Lock()
			n = len(ends.waiting)
			ends.mu.Unlock()
		}
		close(h.free)
		all.Wait()
		if n := h.pipelines.Load(); n != 1 {
			t.Errorf("%d pipelines", n)
		}
		for i := range 9 {
			if got, err := rdb.HGet(t.Context(), fmt.Sprint("task", i), "result").Result(); got != "1" || err != nil {
				t.Errorf("task %d: %q, %v", i, got, err)
			}
		}
		write("last")
		if n, err := rdb.Exists(t.Context(), "first", "last").Result(); n != 0 || err != nil {
			t.Errorf("%d results of tasks that are gone, %v", n, err)
		}
	})
}

// TestGatherWithoutRedis: an error of the connection reaches all.
func TestGatherWithoutRedis(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	r := backoffRedis{rdb, new(gatherer)}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := r.HSet(t.Context(), "task", "result", "1").Err(); err == nil || errors.Is(err, redis.Nil) {
				t.Errorf("written without Redis: %v", err)
			}
		})
	}
	all.Wait()
}

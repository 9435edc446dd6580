package queues_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
)

func TestLive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, r := range []tasks.Request{
			{Users: nums(1200), JobID: "ends"},
			{Users: nums(1), JobID: "waits"},
			{Users: nums(1), JobID: "later", Delay: time.Hour},
			{Users: nums(1), JobID: "background", Queue: ledger.Reconcile},
			{Users: nums(1), JobID: "elsewhere", PhoneNumberID: "7"},
		} {
			r.Operation = ledger.Block
			if _, err := f.Producer.Enqueue(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if r.JobID == "ends" {
				complete(f, "bulk", 2)
			}
		}
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
			for _, a := range cmd.Args() {
				if key, ok := a.(string); ok && strings.Contains(key, "elsewhere") {
					t.Errorf("read a task of another phone number ID: %s", cmd.Name())
				}
			}
		}})
		var got []string
		for p, err := range queues.Live(t.Context(), f.Redis, phoneNumberID) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.TaskID())
		}
		if d := cmp.Diff([]string{"background:0", "later:0", "waits:0"}, slices.Sorted(slices.Values(got))); d != "" {
			t.Error(d)
		}
		key := "wablock:{" + phoneNumberID + "}:tasks"
		f.Redis.ZAdd(t.Context(), key, redis.Z{Score: 1, Member: "bulk ends:0"})
		for range queues.Live(t.Context(), f.Redis, phoneNumberID) { // takes out what ended long ago
		}
		if _, err := f.Redis.ZScore(t.Context(), key, "bulk ends:0").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("a task that ended is still in the index: %v", err)
		}
		if err := queues.Unindex(t.Context(), f.Redis, phoneNumberID, "interactive", "waits:0"); err != nil {
			t.Fatal(err)
		}
		if n := must(f.Redis.ZCard(t.Context(), key).Result())(t); n != 3 { // one that ended just now, and two that wait
			t.Errorf("%d tasks in the index", n)
		}
	})
}

// TestIndexAll has a worker hand a task back while the queues are read.
func TestIndexAll(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"retry", "pending"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(1), JobID: "j"}))(t)
				state := func(from, to string) {
					const queue = "asynq:{interactive}:"
					f.Redis.LRem(t.Context(), queue+from, 0, "j:0")
					f.Redis.HSet(t.Context(), queue+"t:j:0", "state", to)
					if to == "retry" {
						f.Redis.ZAdd(t.Context(), queue+to, redis.Z{Score: 4070908800, Member: "j:0"})
						return
					}
					f.Redis.LPush(t.Context(), queue+to, "j:0")
				}
				state("pending", "active")
				moves := sync.OnceFunc(func() { state("active", to) })
				f.Redis.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
					if cmd.Name() == "lrange" && redistest.Touches(cmd, "asynq:{interactive}:active") {
						moves()
					}
				}})
				// As a producer of an older version enqueued it.
				if err := f.Redis.Del(t.Context(), "wablock:{"+phoneNumberID+"}:tasks").Err(); err != nil {
					t.Fatal(err)
				}
				if err := queues.IndexAll(t.Context(), f.Redis); err != nil {
					t.Fatal(err)
				}
				n := 0
				for _, err := range queues.Live(t.Context(), f.Redis, phoneNumberID) {
					if n++; err != nil {
						t.Fatal(err)
					}
				}
				if n != 1 {
					t.Errorf("%d tasks", n)
				}
			})
		})
	}
}

// TestIndexAllReadsFew has all tasks but one in the index, as a worker finds them that starts on many.
func TestIndexAllReadsFew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const n = 300
		for i := range n {
			must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(1), JobID: fmt.Sprint("j", i), Queue: ledger.Bulk}))(t)
		}
		const key, last = "wablock:{" + phoneNumberID + "}:tasks", "bulk j0:0" // asynq pushes on the left, and the list is read from there
		if err := f.Redis.ZRem(t.Context(), key, last).Err(); err != nil {
			t.Fatal(err)
		}
		var reads atomic.Int32
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
			if cmd.Name() == "sismember" { // asynq's inspector, before it reads a task
				reads.Add(1)
			}
		}})
		if err := queues.IndexAll(t.Context(), f.Redis); err != nil {
			t.Fatal(err)
		}
		if reads := reads.Load(); reads > 2 {
			t.Errorf("%d of %d tasks were read", reads, n)
		}
		if _, err := f.Redis.ZScore(t.Context(), key, last).Result(); err != nil {
			t.Errorf("the task that was not in the index is not: %v", err)
		}
	})
}

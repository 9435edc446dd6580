package queues_test

import (
	"slices"
	"sync"
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
			if _, err := f.producer.Enqueue(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if r.JobID == "ends" {
				f.complete("bulk", 2)
			}
		}
		var got []string
		for p, err := range queues.Live(t.Context(), f.rdb, phoneNumberID) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.TaskID())
		}
		if d := cmp.Diff([]string{"background:0", "later:0", "waits:0"}, slices.Sorted(slices.Values(got))); d != "" {
			t.Error(d)
		}
	})
}

// TestLiveGoesBack has a worker hand a task back while the queues are read.
func TestLiveGoesBack(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"retry", "pending"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				must(f.producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(1), JobID: "j"}))(t)
				state := func(from, to string) {
					const queue = "asynq:{interactive}:"
					f.rdb.LRem(t.Context(), queue+from, 0, "j:0")
					f.rdb.HSet(t.Context(), queue+"t:j:0", "state", to)
					if to == "retry" {
						f.rdb.ZAdd(t.Context(), queue+to, redis.Z{Score: 4e9, Member: "j:0"})
						return
					}
					f.rdb.LPush(t.Context(), queue+to, "j:0")
				}
				state("pending", "active")
				moves := sync.OnceFunc(func() { state("active", to) })
				f.rdb.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
					if cmd.Name() == "lrange" && redistest.Touches(cmd, "asynq:{interactive}:active") {
						moves()
					}
				}})
				n := 0
				for range queues.Live(t.Context(), f.rdb, phoneNumberID) {
					n++
				}
				if n != 1 {
					t.Errorf("%d tasks", n)
				}
			})
		})
	}
}

package tasks_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
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
				f.work()
			}
		}
		var got []string
		for p, err := range f.producer.Live(t.Context(), phoneNumberID) {
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

// before runs something once, before the first command that names a key.
type before struct {
	lostReplies
	key string
	do  func()
}

func (b *before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if do := b.do; do != nil && touches(cmd, b.key) {
			b.do = nil
			do()
		}
		return next(ctx, cmd)
	}
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
				f.rdb.(*redis.Client).AddHook(&before{key: "asynq:{interactive}:active", do: func() { state("active", to) }})
				n := 0
				for range f.producer.Live(t.Context(), phoneNumberID) {
					n++
				}
				if n != 1 {
					t.Errorf("%d tasks", n)
				}
			})
		})
	}
}

func TestEnqueueUnderAnEarlierVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		l := ledger.New(f.rdb, phoneNumberID)
		early := must(l.NextVersion(t.Context()))(t)
		users := nums(2)
		must(f.producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users[:1]}))(t)
		job := must(f.producer.Enqueue(t.Context(), tasks.Request{
			Operation: ledger.Unblock, Users: users, Version: early, Queue: ledger.Reconcile,
		}))(t)
		if job.Version != early {
			t.Errorf("version %d, want %d", job.Version, early)
		}
		entries := must(l.Entries(t.Context(), users))(t)
		if entries[0].Operation != ledger.Block || entries[1].Operation != ledger.Unblock || entries[1].Version != early {
			t.Errorf("what was asked for in the meantime lost: %v %v", entries[0].Operation, entries[1].Operation)
		}
		if _, err := f.producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users, Version: early, Delay: time.Second}); err == nil {
			t.Error("a version with a delay was taken")
		}
	})
}

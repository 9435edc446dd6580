package tasks_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestRegistrationLostInAFailover: a failover loses what a producer had written of a job before it enqueued a part; the
// producer, which saw no error, has all of the job in Redis when it returns, and each user is counted once.
func TestRegistrationLostInAFailover(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"0", "1"} {
		each(t, func(t *testing.T, f *fixture) {
			prefix := "wablock:{" + phoneNumberID + "}:"
			lost, other := false, redis.NewClient(&redis.Options{Addr: f.Redis.(*redis.Client).Options().Addr})
			t.Cleanup(func() { _ = other.Close() })
			f.Redis.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
				if lost || !redistest.Touches(cmd, "asynq:{bulk}:t:j:"+part) {
					return
				}
				lost = true
				keys := []string{"users", "waiting:bulk:block", "version", "jobs", "jobs:counts", "jobs:ids", "jobs:order", "jobs:lists", "tasks"}
				for i, key := range keys {
					keys[i] = prefix + key
				}
				if err := other.Del(t.Context(), append(keys, "wablock:job:j", "asynq:{bulk}:t:j:0", "asynq:{bulk}:pending")...).Err(); err != nil {
					t.Error(err)
				}
			}})
			r := tasks.Request{Operation: tasks.Block, Users: nums(1200), JobID: "j", Reason: "spam"}
			job := must(f.Producer.Enqueue(t.Context(), r))(t)
			if !lost || job.Repeated || job.Accepted != 1200 || job.Tasks != 2 {
				t.Errorf("lost %t; %+v", lost, job)
			}
			succeed(f, 700)
			s := must(f.Producer.Job(t.Context(), "j"))(t)
			if s.Version != job.Version || s.Accepted != 1200 || s.Succeeded != 700 || s.Pending != 500 || s.Superseded != 0 || s.Reason != "spam" {
				t.Errorf("%+v", s)
			}
			rows := 0
			for _, err := range f.Producer.JobUsers(t.Context(), "j") {
				if err != nil {
					t.Fatal(err)
				}
				rows++
			}
			if rows != 1200 {
				t.Errorf("%d users of the job are listed", rows)
			}
			if status := must(f.Producer.Tasks(t.Context(), "j"))(t); status.Gone != 0 {
				t.Errorf("%+v", status)
			}
			other.Del(t.Context(), prefix+"jobs:ids") // in a cluster, whose masters lose each their own
			if _, err := f.Producer.Job(t.Context(), "j"); !errors.Is(err, tasks.ErrJobLost) || !errors.Is(err, tasks.ErrJobNotFound) {
				t.Errorf("a record that is lost alone: %v", err)
			}
		})
	}
}

// TestFailoverThatLosesTheLastSecond: what was answered before the lost time is kept, what was answered in it may be
// gone, whole or in part; repeated under its job ID it gets in, and is newer than all that was kept.
func TestFailoverThatLosesTheLastSecond(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "always")
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	f := setup(t, rdb)
	all := nums(1200)
	kept := tasks.Request{Operation: tasks.Block, Users: all, JobID: "kept"}
	lost := tasks.Request{Operation: tasks.Unblock, Users: all, JobID: "lost"}

	before := must(f.Producer.Enqueue(t.Context(), kept))(t)
	written := must(server.Written())(t)
	gone := must(f.Producer.Enqueue(t.Context(), lost))(t)
	server.Kill()
	if err := server.Lose(written); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	states := func(op ledger.Operation, v ledger.Version) {
		t.Helper()
		for _, u := range []user.ID{all[0], all[1199]} {
			if e := must(f.Ledger.Entries(t.Context(), []user.ID{u}))(t)[0]; e.Operation != op || e.Version != v || e.State != ledger.Waiting {
				t.Errorf("%v of version %d is %v, want %v of %d", e.Operation, e.Version, e.State, op, v)
			}
		}
	}
	states(tasks.Block, before.Version)
	if again := must(f.Producer.Enqueue(t.Context(), kept))(t); !again.Repeated || again.Version != before.Version {
		t.Errorf("the kept job repeated: %+v", again)
	}
	if _, err := f.Producer.Tasks(t.Context(), lost.JobID); !errors.Is(err, tasks.ErrJobNotFound) {
		t.Errorf("the lost job: %v", err)
	}
	again := must(f.Producer.Enqueue(t.Context(), lost))(t)
	if again.Repeated || again.Version <= gone.Version {
		t.Errorf("the lost job repeated: %+v, first of version %d", again, gone.Version)
	}
	states(tasks.Unblock, again.Version)
}

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

package tasks_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// forget deletes tasks, as asynq does when their retention has passed.
func forget(f *fixture, queue string, ids ...string) {
	f.Helper()
	for _, id := range ids {
		if err := f.Inspector.DeleteTask(queue, id); err != nil {
			f.Fatal(err)
		}
	}
}

// succeed ends the requests of those users who wait longest.
func succeed(f *fixture, n int) {
	f.Helper()
	c := must(f.Ledger.Claim(f.Context(), ledger.ClaimOptions{ID: "c", Max: n, Timeout: 10 * time.Minute}))(f)
	settlements := make([]ledger.Settlement, len(c.Users))
	for i, u := range c.Users {
		settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed}
	}
	_ = must(f.Ledger.Settle(f.Context(), "c", settlements))(f)
}

// TestRepeatOfARunningJobCountsOnce repeats a job whose first part ended, and was forgotten,
// before its last.
func TestRepeatOfARunningJobCountsOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: tasks.Block, Users: nums(1200), JobID: "nightly-list"}
		first := must(f.Producer.Enqueue(t.Context(), r))(t)
		succeed(f, 1000)
		forget(f, "bulk", "nightly-list:0")
		must(f.Producer.Unblock(t.Context(), []string{num(7).Reveal()}))(t)

		again := must(f.Producer.Enqueue(t.Context(), r))(t)
		if again.Version != first.Version || first.Repeated || !again.Repeated {
			t.Errorf("version %d, repeated %t; first %d, %t", again.Version, again.Repeated, first.Version, first.Repeated)
		}
		if e := must(f.Ledger.Entries(t.Context(), []user.ID{num(7)}))(t)[0]; e.Operation != tasks.Unblock {
			t.Errorf("the repeated request won over a newer one: %s", e.Operation)
		}
		got := must(f.Producer.Progress(t.Context(), phoneNumberID, again.Version, again.Users))(t)
		if diff := cmp.Diff(tasks.Progress{Succeeded: 999, Superseded: 1, Pending: 200}, got); diff != "" {
			t.Error(diff)
		}
		forget(f, "bulk", "nightly-list:0")
		status := must(f.Producer.Tasks(t.Context(), "nightly-list"))(t)
		if status.Gone != 1 || status.Pending != 200 || status.Version != first.Version {
			t.Errorf("%+v", status)
		}
		forget(f, "bulk", "nightly-list:1")
		if _, err := f.Producer.Tasks(t.Context(), "nightly-list"); !errors.Is(err, tasks.ErrJobNotFound) {
			t.Errorf("after the retention: %v", err)
		}
		if later := must(f.Producer.Enqueue(t.Context(), r))(t); later.Version == first.Version {
			t.Error("a request after the retention is the job that ended")
		}
	})
}

// TestRepeatOfAJobOfWhichAPartNeverGotIn repeats a job when nothing of it is in Redis but that
// its first attempt failed on the way.
func TestRepeatOfAJobOfWhichAPartNeverGotIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: tasks.Block, Users: nums(1200), JobID: "j"}
		fails := true
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Lose: func(cmd redis.Cmder) bool {
			return fails && redistest.Touches(cmd, "asynq:{bulk}:t:j:1")
		}})
		first, err := f.Producer.Enqueue(t.Context(), r)
		if partly, ok := errors.AsType[*tasks.EnqueueError](err); !ok || partly.Tasks != 1 {
			t.Fatal(err)
		}
		fails = false
		succeed(f, 1000)
		forget(f, "bulk", "j:0", "j:1")
		if again := must(f.Producer.Enqueue(t.Context(), r))(t); again.Version != first.Version {
			t.Errorf("version %d, first %d", again.Version, first.Version)
		}
		other := tasks.Request{Operation: tasks.Block, Users: nums(1100), JobID: "j2"}
		f.Redis.Set(t.Context(), "wablock:job:j2", `{"version":1,"queue":"bulk","parts":2,"request":"of other users"}`, time.Hour)
		if job := must(f.Producer.Enqueue(t.Context(), other))(t); job.Version == 1 {
			t.Error("took the version of another request")
		}
	})
}

// TestRepeatCompletesADelayedJobInTime repeats a job that was put off, and whose second part got
// lost.
func TestRepeatCompletesADelayedJobInTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: tasks.Unblock, Users: nums(1200), JobID: "j", Delay: time.Hour}
		must(f.Producer.Enqueue(t.Context(), r))(t)
		forget(f, "bulk", "j:1")
		r.Delay = 24 * time.Hour
		must(f.Producer.Enqueue(t.Context(), r))(t)
		first, second := f.Task("bulk", "j:0").NextProcessAt, f.Task("bulk", "j:1").NextProcessAt
		if !first.Equal(second) {
			t.Errorf("one part is due at %v, the other at %v", first, second)
		}
	})
}

func TestSameUsersInAnotherOrderAreTheSameJob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: tasks.Block, Users: nums(3), JobID: "j"}
		first := must(f.Producer.Enqueue(t.Context(), r))(t)
		slices.Reverse(r.Users)
		again := must(f.Producer.Enqueue(t.Context(), r))(t)
		if again.Version != first.Version || again.Users[0] != num(2) {
			t.Errorf("version %d, first %d; %v", again.Version, first.Version, again.Users)
		}
	})
}

func TestJobIDInAnotherQueue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: tasks.Block, Users: nums(51), JobID: "evt-1"}))(t)
		_, err := f.Producer.Enqueue(t.Context(), tasks.Request{Operation: tasks.Unblock, Users: nums(50), JobID: "evt-1"})
		if !errors.Is(err, tasks.ErrJobConflict) || strings.Contains(err.Error(), "safe") {
			t.Errorf("one job ID for two requests: %v", err)
		}
	})
}

// TestJobIDOfATimedBlock: a block for good is not the repeat of one for a while, nor that of one for good; the length may
// differ, as it does between two requests for seven days.
func TestJobIDOfATimedBlock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		day := time.Now().Add(24 * time.Hour)
		plain := tasks.Request{Operation: tasks.Block, Users: nums(2)}
		timed, longer := plain, plain
		timed.Until, longer.Until = day, day.Add(time.Hour)
		for i, tt := range []struct {
			first, second tasks.Request
			same          bool
		}{
			{plain, plain, true},
			{timed, longer, true},
			{plain, timed, false},
			{timed, plain, false},
		} {
			tt.first.JobID = fmt.Sprint("job-", i)
			tt.second.JobID = tt.first.JobID
			must(f.Producer.Enqueue(t.Context(), tt.first))(t)
			again, err := f.Producer.Enqueue(t.Context(), tt.second)
			if tt.same != (err == nil && again.Repeated) || !tt.same && !errors.Is(err, tasks.ErrJobConflict) {
				t.Errorf("%d: repeated %t, %v", i, again.Repeated, err)
			}
		}
	})
}

// TestRepeatOfATimedBlockAfterItsEnd: it is the same job, whenever it is repeated; only a new one has to end later than now.
func TestRepeatOfATimedBlockAfterItsEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, n := range []int{2, 1200} {
			r := tasks.Request{Operation: tasks.Block, Users: nums(n), JobID: fmt.Sprint("timed-", n), Until: time.Now().Add(time.Hour)}
			first := must(f.Producer.Enqueue(t.Context(), r))(t)
			r.Until = time.Now().Add(-time.Minute) // as if the end were past
			if err := r.Check(); err != nil {
				t.Error(err)
			}
			if again := must(f.Producer.Enqueue(t.Context(), r))(t); !again.Repeated || again.Version != first.Version || again.Accepted != n {
				t.Errorf("repeated: %+v, first of version %d", again, first.Version)
			}
			for _, id := range []string{"", "another"} {
				r.JobID = id
				job, err := f.Producer.Enqueue(t.Context(), r)
				if _, partly := errors.AsType[*tasks.EnqueueError](err); !errors.Is(err, tasks.ErrPastEnd) || partly || job.Accepted > 0 {
					t.Errorf("job ID %q: %+v, %v", id, job, err)
				}
			}
			if _, err := f.Producer.Tasks(t.Context(), "another"); !errors.Is(err, tasks.ErrJobNotFound) {
				t.Errorf("the refused job: %v", err)
			}
		}
	})
}

func TestJobIDs(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	number := num(0).Reveal()
	for _, id := range []string{
		"0b9c3f6e-1d2a-4c5b-8e7f-449111234567", "order_447911123456", "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTdB/+==",
		"spam:report 42", "täglich", strings.Repeat("a", 255), "+16505551234",
	} {
		if _, err := f.Producer.Enqueue(t.Context(), tasks.Request{Operation: tasks.Block, Users: nums(1), JobID: id}); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if s := must(f.Producer.Tasks(t.Context(), id))(t); s.Pending != 1 {
			t.Errorf("%s: %+v", id, s)
		}
	}
	for _, id := range []string{strings.Repeat("a", 256), "a\nb", "a\x00", "a\xff", "block-" + number[1:], "+1 (650) 555-0000"} {
		if _, err := f.Producer.Enqueue(t.Context(), tasks.Request{Operation: tasks.Block, Users: nums(2), JobID: id}); err == nil {
			t.Errorf("%q is taken", id)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	job := must(f.Producer.Block(t.Context(), []string{"+1 650 555 0001"}))(t)
	s := must(f.Producer.Status(t.Context(), "+1 (650) 555-0001"))(t)
	if s.State != ledger.Waiting || s.Version != job.Version || s.Operation != tasks.Block {
		t.Errorf("%+v", s)
	}
	if _, err := f.Producer.Status(t.Context(), "junk"); err == nil {
		t.Error("the status of no user")
	}
}

// TestRepeatAfterALostTask: the result of a task that a failover has lost keeps no request from coming.
func TestRepeatAfterALostTask(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		id := queues.TaskID("writer", 0)
		if err := f.Redis.HSet(t.Context(), queues.Key("interactive", "t:"+id), "result", "{}").Err(); err != nil {
			t.Fatal(err)
		}
		job := must(f.Producer.Block(t.Context(), []string{number}, tasks.WithJobID("writer")))(t)
		if info := f.Task("interactive", id); job.Repeated || info.State != asynq.TaskStatePending {
			t.Errorf("%+v, %v", job, info.State)
		}
		if again := must(f.Producer.Block(t.Context(), []string{number}, tasks.WithJobID("writer")))(t); !again.Repeated || again.Version != job.Version {
			t.Errorf("repeated: %+v", again)
		}
	})
}

package tasks_test

import (
	"errors"
	"strings"
	"sync/atomic"
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

func TestBlock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		inputs := []string{"+1 650 555 0001", "junk", "+16505550002", "0016505550001", ""}
		job := must(f.Producer.Block(t.Context(), inputs))(t)
		want := tasks.Job{
			Operation: ledger.Block, PhoneNumberID: phoneNumberID, Queue: ledger.Interactive, Accepted: 2, Tasks: 1,
			Rejected: []tasks.Rejection{
				{Input: "junk", Line: 2, Reason: "holds a character that no phone number has"},
				{Input: "", Line: 5, Reason: "empty"},
			},
			ID: job.ID, Version: job.Version, Users: job.Users,
		}
		if diff := cmp.Diff(want, job, compareIDs); diff != "" {
			t.Error(diff)
		}
		info := f.Task("interactive", job.ID+":0")
		if info.State != asynq.TaskStatePending || info.MaxRetry != queues.MaxRetry || info.Retention != tasks.DefaultRetention {
			t.Errorf("%v, max retry %d, retention %v", info.State, info.MaxRetry, info.Retention)
		}
		p := must(queues.Decode(info.Type, info.Payload))(t)
		if diff := cmp.Diff(job.Users, p.Users, compareIDs); diff != "" || p.Version != job.Version || len(p.Users) != 2 {
			t.Errorf("version %d of %d, %s", p.Version, job.Version, diff)
		}
		for _, e := range must(f.Ledger.Entries(t.Context(), job.Users))(t) {
			if e.State != ledger.Waiting || e.Version != job.Version || e.Queue != ledger.Interactive {
				t.Errorf("the ledger says %+v", e)
			}
		}
	})
}

func TestNothingToEnqueue(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	job, err := f.Producer.Unblock(t.Context(), []string{"junk"})
	if !errors.Is(err, tasks.ErrNoUsers) || len(job.Rejected) != 1 {
		t.Errorf("%v, %d rejected", err, len(job.Rejected))
	}
	for name, r := range map[string]tasks.Request{
		"no operation":    {Users: nums(1)},
		"no users":        {Operation: ledger.Block},
		"a zero user":     {Operation: ledger.Block, Users: make([]user.ID, 1)},
		"a bad number ID": {Operation: ledger.Block, Users: nums(1), PhoneNumberID: "x"},
		"a bad queue":     {Operation: ledger.Block, Users: nums(1), Queue: "default"},
		"a bad job ID":    {Operation: ledger.Block, Users: nums(1), JobID: "a\x00b"},
		"a bad delay":     {Operation: ledger.Block, Users: nums(1), Delay: -1},
		"a bad retention": {Operation: ledger.Block, Users: nums(1), Retention: time.Millisecond},
	} {
		if _, err := f.Producer.Enqueue(t.Context(), r); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if keys := must(rdb.Keys(t.Context(), "*").Result())(t); len(keys) != 0 {
		t.Errorf("left in Redis: %v", keys)
	}
	if _, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: "+1650"}); err == nil {
		t.Error("a producer with a bad phone number ID")
	}
}

func TestChunks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		users := nums(2500)
		job := must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Unblock, Users: append(users, users...)}))(t)
		if job.Tasks != 3 || job.Accepted != 2500 || job.Queue != ledger.Bulk {
			t.Fatalf("%d tasks, %d users, %s", job.Tasks, job.Accepted, job.Queue)
		}
		var got []user.ID
		for part, want := range []int{1000, 1000, 500} {
			info := f.Task("bulk", job.ID+":"+string(rune('0'+part)))
			p := must(queues.Decode(info.Type, info.Payload))(t)
			if len(p.Users) != want || p.Part != part || p.Parts != 3 || p.Version != job.Version || info.Type != queues.TypeUnblock {
				t.Errorf("part %d: %d users, %d/%d of %s", part, len(p.Users), p.Part, p.Parts, info.Type)
			}
			got = append(got, p.Users...)
		}
		if diff := cmp.Diff(users, got, compareIDs); diff != "" {
			t.Error(diff)
		}
		progress := must(f.Producer.Progress(t.Context(), phoneNumberID, job.Version, users))(t)
		if diff := cmp.Diff(tasks.Progress{Pending: 2500}, progress); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		job := must(f.Producer.Block(t.Context(), []string{"+16505550001"}, tasks.WithPhoneNumberID("7"), tasks.WithQueue(ledger.Reconcile),
			tasks.WithJobID("spam-42"), tasks.WithRetention(time.Minute)))(t)
		info := f.Task("reconcile", "spam-42:0")
		if job.PhoneNumberID != "7" || info.Retention != time.Minute {
			t.Errorf("number %s, retention %v", job.PhoneNumberID, info.Retention)
		}
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const week = 7 * 24 * time.Hour
		for range 2 { // the second time as a repetition
			job := must(f.Producer.Unblock(t.Context(), []string{"+16505550000"}, tasks.WithDelay(week), tasks.WithJobID("j")))(t)
			info := f.Task("interactive", "j:0")
			until := time.Until(info.NextProcessAt)
			if info.State != asynq.TaskStateScheduled || until < week-time.Minute || until > week+time.Minute {
				t.Errorf("%v in %v", info.State, until)
			}
			if early := job.Version.Time().Add(week).Sub(info.NextProcessAt); early > time.Second {
				t.Errorf("%v early", early)
			}
			if v := time.Until(job.Version.Time()); v < -time.Minute || v > 0 {
				t.Errorf("the version is of %v from now, want that of when it was accepted", v)
			}
		}
		if e := must(f.Ledger.Entries(t.Context(), nums(1)))(t)[0]; e.State != ledger.Unknown {
			t.Errorf("marked as %v before its time", e.State)
		}
	})
}

func TestLostReplyIsSafeToRepeat(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"0", "1", "2"} {
		t.Run("of part "+part, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				var lost atomic.Int32
				f.Redis.(*redis.Client).AddHook(&redistest.Hook{Lose: func(cmd redis.Cmder) bool {
					return redistest.Touches(cmd, "asynq:{bulk}:t:j:"+part) && redistest.Touches(cmd, "asynq:{bulk}:pending") &&
						lost.CompareAndSwap(0, 1)
				}})
				r := tasks.Request{Operation: ledger.Block, Users: nums(2500), JobID: "j"}
				job, err := f.Producer.Enqueue(t.Context(), r)
				var partly *tasks.EnqueueError
				if lost.Load() != 1 || !errors.As(err, &partly) {
					t.Fatalf("%d replies lost, %v", lost.Load(), err)
				}
				if !errors.Is(err, redistest.ErrLost) && !strings.Contains(err.Error(), redistest.ErrLost.Error()) || partly.JobID != "j" || job.ID != "j" ||
					partly.TotalTasks != 3 || partly.TotalUsers != 2500 || partly.Tasks > 2 {
					t.Errorf("%+v", partly)
				}
				// Meanwhile the opposite is wanted; the repetition must not undo it.
				newer := must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Unblock, Users: nums(1)}))(t)

				job = must(f.Producer.Enqueue(t.Context(), r))(t)
				if n := must(f.Redis.LLen(t.Context(), "asynq:{bulk}:pending").Result())(t); n != 3 {
					t.Errorf("%d tasks, want 3", n)
				}
				if job.Version >= newer.Version || job.Tasks != 3 || job.Accepted != 2500 {
					t.Errorf("version %d, newer %d; %d tasks", job.Version, newer.Version, job.Tasks)
				}
				progress := must(f.Producer.Progress(t.Context(), phoneNumberID, job.Version, r.Users))(t)
				if diff := cmp.Diff(tasks.Progress{Superseded: 1, Pending: 2499}, progress); diff != "" {
					t.Error(diff)
				}
				again := must(f.Producer.Enqueue(t.Context(), r))(t)
				if diff := cmp.Diff(job, again, compareIDs); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestJobIDOfAnotherRequest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: ledger.Block, Users: nums(2), JobID: "j"}
		_ = must(f.Producer.Enqueue(t.Context(), r))(t)
		for name, change := range map[string]func(*tasks.Request){
			"operation": func(r *tasks.Request) { r.Operation = ledger.Unblock },
			"users":     func(r *tasks.Request) { r.Users = nums(3)[1:] },
			"number":    func(r *tasks.Request) { r.PhoneNumberID = "7" },
			"parts":     func(r *tasks.Request) { r.Users, r.Queue = nums(1001), ledger.Interactive },
		} {
			other := r
			change(&other)
			if _, err := f.Producer.Enqueue(t.Context(), other); !errors.Is(err, tasks.ErrJobConflict) {
				t.Errorf("another %s: %v", name, err)
			}
		}
	})
}

func TestQueuesComeBackAfterFlush(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for range 2 {
			_ = must(f.Producer.Block(t.Context(), []string{"+16505550001"}))(t)
			queues := must(f.Inspector.Queues())(t)
			if diff := cmp.Diff([]string{"interactive"}, queues); diff != "" {
				t.Error(diff)
			}
			if err := f.Redis.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRedisFull(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "8mb")
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	f := setup(t, rdb)
	job, err := f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(60_000), JobID: "j"})
	var partly *tasks.EnqueueError
	if !errors.Is(err, tasks.ErrRedisFull) || !errors.As(err, &partly) {
		t.Fatal(err)
	}
	n := must(rdb.LLen(t.Context(), "asynq:{bulk}:pending").Result())(t)
	if partly.Tasks != int(n) || n == 0 || partly.Users != 1000*int(n) || job.Accepted != partly.Users {
		t.Errorf("%d tasks, the error says %d with %d users, the job %d", n, partly.Tasks, partly.Users, job.Accepted)
	}
	if !strings.Contains(err.Error(), "maxmemory") || user.Scrub(err.Error()) != err.Error() {
		t.Errorf("unclear: %v", err)
	}
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	job = must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(60_000), JobID: "j"}))(t)
	if n := must(rdb.LLen(t.Context(), "asynq:{bulk}:pending").Result())(t); n != 60 || job.Accepted != 60_000 {
		t.Errorf("%d tasks after there was room", n)
	}
}

// TestDelayedJobIsNotMarkedByARepetition repeats a job that was put off, and forgets to say so.
func TestDelayedJobIsNotMarkedByARepetition(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		r := tasks.Request{Operation: ledger.Unblock, Users: nums(1), JobID: "j", Delay: time.Hour}
		first := must(f.Producer.Enqueue(t.Context(), r))(t)
		if err := f.Inspector.RunTask("interactive", "j:0"); err != nil { // early, by asynq's own tools
			t.Fatal(err)
		}
		r.Delay = 0
		again := must(f.Producer.Enqueue(t.Context(), r))(t)
		if e := must(f.Ledger.Entries(t.Context(), nums(1)))(t)[0]; e.State != ledger.Unknown || again.Version != first.Version {
			t.Errorf("marked as %v, version %d of %d", e.State, again.Version, first.Version)
		}
	})
}

func TestEnqueueUnderAnEarlierVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		l := ledger.New(f.Redis, phoneNumberID)
		early := must(l.NextVersion(t.Context()))(t)
		users := nums(2)
		must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users[:1]}))(t)
		job := must(f.Producer.Enqueue(t.Context(), tasks.Request{
			Operation: ledger.Unblock, Users: users, Version: early, Queue: ledger.Reconcile,
		}))(t)
		if job.Version != early {
			t.Errorf("version %d, want %d", job.Version, early)
		}
		entries := must(l.Entries(t.Context(), users))(t)
		if entries[0].Operation != ledger.Block || entries[1].Operation != ledger.Unblock || entries[1].Version != early {
			t.Errorf("what was asked for in the meantime lost: %v %v", entries[0].Operation, entries[1].Operation)
		}
		if _, err := f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users, Version: early, Delay: time.Second}); err == nil {
			t.Error("a version with a delay was taken")
		}
	})
}

package tasks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

func TestJob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		if _, err := f.Producer.Tasks(t.Context(), "none"); !errors.Is(err, tasks.ErrJobNotFound) {
			t.Errorf("a job that never was: %v", err)
		}
		job := must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(2500), JobID: "j"}))(t)
		want := tasks.TaskStatus{
			ID: "j", Operation: ledger.Block, PhoneNumberID: phoneNumberID, Queue: ledger.Bulk, Version: job.Version,
			Tasks: 3, Pending: 2500,
		}
		ignore := cmpopts.IgnoreFields(tasks.TaskStatus{}, "RequestedAt")
		got := must(f.Producer.Tasks(t.Context(), "j"))(t)
		if diff := cmp.Diff(want, got, ignore); diff != "" || got.Done() || time.Since(got.RequestedAt).Abs() > time.Minute {
			t.Error(got.RequestedAt, diff)
		}
		if err := f.Inspector.DeleteTask("bulk", "j:1"); err != nil {
			t.Fatal(err)
		}
		work(f)
		want.Ended, want.Gone, want.Pending = 2, 1, 0
		want.Result = queues.Result{Succeeded: 1499, DeadLettered: 1, Codes: map[int]int{131047: 1}}
		got = must(f.Producer.Tasks(t.Context(), "j"))(t)
		if diff := cmp.Diff(want, got, ignore); diff != "" || !got.Done() {
			t.Error(diff)
		}
	})
}

// work lets an asynq server end all tasks, in each of which one user in 1,000 fails.
func work(f *fixture) {
	f.Helper()
	srv := asynq.NewServerFromRedisClient(f.Redis, asynq.Config{
		Queues: map[string]int{"bulk": 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	ended := make(chan struct{}, 10)
	err := srv.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		defer func() { ended <- struct{}{} }()
		p, err := queues.Decode(t.Type(), t.Payload())
		if err != nil {
			return err
		}
		r := queues.Result{Succeeded: len(p.Users)}
		if r.Succeeded == 1000 {
			r = queues.Result{Succeeded: 999, DeadLettered: 1, Codes: map[int]int{131047: 1}}
		}
		b, err := r.Encode()
		if err == nil {
			_, err = t.ResultWriter().Write(b)
		}
		return err
	}))
	if err != nil {
		f.Fatal(err)
	}
	<-ended
	<-ended
	srv.Shutdown()
}

func TestProgress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		job := must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: nums(5)}))(t)
		c := must(f.Ledger.Claim(t.Context(), ledger.ClaimOptions{ID: "c", Max: 4, Timeout: 10 * time.Minute}))(t)
		verdicts := []ledger.Disposition{ledger.Succeed, ledger.Kill, ledger.Retry, ledger.Succeed}
		settlements := make([]ledger.Settlement, 4)
		for i, u := range c.Users {
			settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: verdicts[i]}
		}
		_ = must(f.Ledger.Settle(t.Context(), "c", settlements))(t)
		f.Mark(ledger.Unblock, c.Users[3].User)
		got := must(f.Producer.Progress(t.Context(), phoneNumberID, job.Version, append(job.Users, num(99))))(t)
		if diff := cmp.Diff(tasks.Progress{Succeeded: 1, DeadLettered: 1, Superseded: 1, Pending: 3}, got); diff != "" {
			t.Error(diff)
		}
	})
}

package taskstest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/taskstest"
	"github.com/wablock/wablock/tasks/user"
)

// producer has the methods that the fake shares with the real one.
type producer interface {
	PhoneNumberID() string
	Block(ctx context.Context, inputs []string, opts ...tasks.Option) (tasks.Job, error)
	Unblock(ctx context.Context, inputs []string, opts ...tasks.Option) (tasks.Job, error)
	Allowed(ctx context.Context, r tasks.Request, users []user.ID, rejected []tasks.Rejection) ([]user.ID, []tasks.Rejection, error)
	Enqueue(ctx context.Context, r tasks.Request) (tasks.Job, error)
	Job(ctx context.Context, jobID string) (tasks.JobStatus, error)
	Jobs(ctx context.Context, f tasks.JobsFilter) iter.Seq2[tasks.JobStatus, error]
	JobUsers(ctx context.Context, jobID string) iter.Seq2[tasks.JobUser, error]
	Wait(ctx context.Context, jobID string) (tasks.JobStatus, error)
	Cancel(ctx context.Context, jobID string, dryRun bool, opts ...tasks.Option) (tasks.Canceled, error)
	Undo(ctx context.Context, jobID string, q tasks.UndoRequest) (tasks.Undone, error)
	Everywhere(ctx context.Context, ids []string, r tasks.Request) (string, []tasks.Job, error)
	Heard(ctx context.Context, events ...tasks.HeardEvent) (tasks.HeardReport, error)
}

var (
	_ producer = (*tasks.Producer)(nil)
	_ producer = (*taskstest.Producer)(nil)

	_ tasks.BatchProducer = (*taskstest.Producer)(nil)
)

const (
	phoneNumberID   = taskfixture.PhoneNumberID
	one, two, three = "+16505550001", "+16505550002", "+16505550003"
)

// rig is a producer, and what lets its users end.
type rig struct {
	*testing.T
	producer
	succeed func(jobID string, numbers ...string)
	die     func(jobID string, code int, numbers ...string)
	protect func(reason string, numbers ...string)
}

func (r *rig) check(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// both runs body on the fake and, on miniredis and a real Redis, on the real producer.
func both(t *testing.T, body func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		p, err := taskstest.New(tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
		r := &rig{T: t, producer: p}
		r.check(err)
		r.succeed = func(id string, numbers ...string) { r.check(p.Succeed(id, numbers...)) }
		r.die = func(id string, code int, numbers ...string) { r.check(p.DeadLetter(id, code, "made up", numbers...)) }
		r.protect = func(reason string, numbers ...string) { r.check(p.Protect(reason, numbers...)) }
		body(t, r)
	})
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := taskfixture.New(t, rdb)
		r := &rig{T: t, producer: f.Producer}
		settle := func(verdict ledger.Disposition, failure *ledger.Failure, numbers []string) {
			id := fmt.Sprint("claim-", time.Now().UnixNano())
			c, err := f.Ledger.Claim(t.Context(), ledger.ClaimOptions{ID: id, Max: 1000, Timeout: time.Minute})
			r.check(err)
			var all []ledger.Settlement
			for _, u := range c.Users {
				s := ledger.Settlement{User: u.User, Version: u.Version, Do: verdict, Failure: failure}
				if len(numbers) > 0 && !slices.Contains(numbers, u.User.Reveal()) {
					s.Do, s.Failure = ledger.Wait, nil
				}
				all = append(all, s)
			}
			_, err = f.Ledger.Settle(t.Context(), id, all)
			r.check(err)
		}
		r.succeed = func(_ string, numbers ...string) { settle(ledger.Succeed, nil, numbers) }
		r.die = func(_ string, code int, numbers ...string) {
			settle(ledger.Kill, &ledger.Failure{Code: code, Message: "made up"}, numbers)
		}
		r.protect = func(reason string, numbers ...string) {
			users := make([]user.ID, len(numbers))
			for i, n := range numbers {
				users[i] = taskfixture.Must(user.Parse(n))(t)
			}
			r.check(protect.Add(t.Context(), rdb, "", users, reason, "test"))
		}
		body(t, r)
	})
}

func (r *rig) block(id string, inputs ...string) tasks.Job {
	r.Helper()
	return taskfixture.Must(r.Block(r.Context(), inputs, tasks.WithJobID(id)))(r)
}

// counts compares what is counted of a job.
func (r *rig) counts(id string, want tasks.JobStatus) {
	r.Helper()
	got := taskfixture.Must(r.Job(r.Context(), id))(r)
	ignored := cmpopts.IgnoreFields(tasks.JobStatus{}, "RequestedAt", "PlannedAt", "SettledAt", "ExpectedAt", "WaitingFor", "WaitingText", "Version", "Until", "ID", "PhoneNumberID", "Queue", "Tasks", "Operation")
	if d := cmp.Diff(want, got, ignored); d != "" || got.ID != id || got.PhoneNumberID != phoneNumberID || got.SettledAt.IsZero() != (got.Pending > 0) || got.RequestedAt.IsZero() {
		r.Errorf("job %s: %s %+v", id, d, got)
	}
}

func TestBothTakeAndSettle(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		job := taskfixture.Must(r.Block(t.Context(), []string{"+1 650 555 0001", two, "call me", two, three}, tasks.WithJobID("a"),
			tasks.WithRequester("ana"), tasks.WithReason("spam"), tasks.WithReference("T-1")))(t)
		if job.ID != "a" || job.Accepted != 3 || job.Tasks != 1 || job.Queue != tasks.Interactive || job.PhoneNumberID != phoneNumberID || job.Version <= 0 || job.Repeated ||
			len(job.Rejected) != 1 || job.Rejected[0].Line != 3 || len(job.Users) != 3 || job.Users[0].Reveal() != one {
			t.Errorf("%+v", job)
		}
		text := tasks.JobStatus{RequestedBy: "ana", Reason: "spam", Reference: "T-1", Accepted: 3, Rejected: 1}
		waiting := text
		waiting.State, waiting.Pending = tasks.JobWaiting, 3
		r.counts("a", waiting)
		r.succeed("a", one)
		r.die("a", 131047, two)
		waiting.Succeeded, waiting.DeadLettered, waiting.Pending, waiting.Codes = 1, 1, 1, map[int]int{131047: 1}
		r.counts("a", waiting)
		r.succeed("a")
		done := text
		done.State, done.Succeeded, done.DeadLettered, done.Codes = tasks.JobDone, 2, 1, map[int]int{131047: 1}
		r.counts("a", done)
		if s, err := r.Wait(t.Context(), "a"); err != nil || s.State != tasks.JobDone {
			t.Errorf("waited: %+v, %v", s, err)
		}
		var rows []string
		for u, err := range r.JobUsers(t.Context(), "a") {
			r.check(err)
			rows = append(rows, fmt.Sprint(u.Input, " ", u.State, " ", u.Code, " ", u.Line))
		}
		slices.Sort(rows)
		if d := cmp.Diff([]string{"+1 650 555 0001 succeeded 0 0", two + " dead_lettered 131047 0", three + " succeeded 0 0", "call me rejected 0 3"}, rows); d != "" {
			t.Error(d)
		}
		if _, err := r.Job(t.Context(), "none"); !errors.Is(err, tasks.ErrJobNotFound) {
			t.Errorf("no such job: %v", err)
		}
	})
}

func TestBothRepeat(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		first := r.block("a", one, two)
		again := r.block("a", two, one)
		if again.Version != first.Version || !again.Repeated || again.Accepted != 2 {
			t.Errorf("%+v, again %+v", first, again)
		}
		var failed *tasks.EnqueueError
		for name, ask := range map[string]func() (tasks.Job, error){
			"other users":     func() (tasks.Job, error) { return r.Block(t.Context(), []string{one}, tasks.WithJobID("a")) },
			"other operation": func() (tasks.Job, error) { return r.Unblock(t.Context(), []string{one, two}, tasks.WithJobID("a")) },
			"other queue": func() (tasks.Job, error) {
				return r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a"), tasks.WithQueue(tasks.Bulk))
			},
			"with an end": func() (tasks.Job, error) {
				return r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a"), tasks.WithExpiry(time.Now().Add(time.Hour)))
			},
			"other phone number ID": func() (tasks.Job, error) {
				return r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a"), tasks.WithPhoneNumberID("7"))
			},
		} {
			if job, err := ask(); !errors.Is(err, tasks.ErrJobConflict) || !errors.As(err, &failed) || job.Accepted != 0 {
				t.Errorf("%s: %+v, %v", name, job, err)
			}
		}
		timed := taskfixture.Must(r.Block(t.Context(), []string{three}, tasks.WithJobID("timed"), tasks.WithExpiry(time.Now().Add(time.Hour))))(t)
		past := tasks.WithExpiry(time.Now().Add(-time.Minute))
		if again := taskfixture.Must(r.Block(t.Context(), []string{three}, tasks.WithJobID("timed"), past))(t); !again.Repeated || again.Version != timed.Version {
			t.Errorf("after its end: %+v, first %+v", again, timed)
		}
		if _, err := r.Block(t.Context(), []string{three}, tasks.WithJobID("late"), past); !errors.Is(err, tasks.ErrPastEnd) {
			t.Errorf("a new job that ended before: %v", err)
		}
		var ids []string
		for j, err := range r.Jobs(t.Context(), tasks.JobsFilter{}) {
			r.check(err)
			ids = append(ids, j.ID)
		}
		if d := cmp.Diff([]string{"timed", "a"}, ids); d != "" {
			t.Error(d)
		}
	})
}

func TestBothSupersedeAndCancel(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		r.block("a", one, two)
		_, err := r.Unblock(t.Context(), []string{two}, tasks.WithJobID("b"))
		r.check(err)
		r.counts("a", tasks.JobStatus{State: tasks.JobWaiting, Accepted: 2, Superseded: 1, Pending: 1})
		if _, err := r.Unblock(t.Context(), []string{one}, tasks.WithJobID("late"), tasks.WithAsOf(time.Now().Add(-time.Hour))); err != nil {
			t.Error(err)
		}
		r.counts("late", tasks.JobStatus{State: tasks.JobDone, Accepted: 1, Superseded: 1})
		if c, err := r.Cancel(t.Context(), "a", true); err != nil || c != (tasks.Canceled{JobID: "a", Canceled: 1, Settled: 1, DryRun: true}) {
			t.Errorf("dry run: %+v, %v", c, err)
		}
		if c, err := r.Cancel(t.Context(), "a", false); err != nil || c != (tasks.Canceled{JobID: "a", Canceled: 1, Settled: 1}) {
			t.Errorf("%+v, %v", c, err)
		}
		r.counts("a", tasks.JobStatus{State: tasks.JobCanceled, Accepted: 2, Superseded: 1, Canceled: 1})
		if _, err := r.Cancel(t.Context(), "a", false); !errors.Is(err, tasks.ErrJobCanceled) {
			t.Errorf("again: %v", err)
		}
		if _, err := r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a")); !errors.Is(err, tasks.ErrJobCanceled) {
			t.Errorf("a repeat: %v", err)
		}
		r.succeed("b")
		if _, err := r.Cancel(t.Context(), "b", false); !errors.Is(err, tasks.ErrJobEnded) {
			t.Errorf("of what is done: %v", err)
		}
		if _, err := r.Cancel(t.Context(), "none", false); !errors.Is(err, tasks.ErrJobNotFound) {
			t.Errorf("of nothing: %v", err)
		}
		// Put off, and canceled before it was due.
		_, err = r.Block(t.Context(), []string{three}, tasks.WithJobID("later"), tasks.WithDelay(time.Hour))
		r.check(err)
		r.counts("later", tasks.JobStatus{State: tasks.JobPlanned, Accepted: 1, Pending: 1})
		if c, err := r.Cancel(t.Context(), "later", false); err != nil || c.Canceled != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestBothRefuse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		r.protect("our staff", two)
		job, err := r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a"))
		if err != nil || job.Accepted != 1 || len(job.Rejected) != 1 || job.Rejected[0].Line != 0 || job.Rejected[0].Input != two {
			t.Errorf("%+v, %v", job, err)
		}
		if s := taskfixture.Must(r.Job(t.Context(), "a"))(t); s.Rejected != 1 {
			t.Errorf("%d are rejected", s.Rejected)
		}
		if job, err := r.Block(t.Context(), []string{two}); !errors.Is(err, tasks.ErrNoUsers) || len(job.Rejected) != 1 {
			t.Errorf("the protected alone: %+v, %v", job, err)
		}
		if job, err := r.Unblock(t.Context(), []string{two}); err != nil || job.Accepted != 1 || job.ID == "" {
			t.Errorf("unblocked: %+v, %v", job, err)
		}
		for name, ask := range map[string]struct {
			inputs []string
			option tasks.Option
		}{
			"no number":             {[]string{"x"}, tasks.WithJobID("b")},
			"a bad phone number ID": {[]string{one}, tasks.WithPhoneNumberID("x")},
			"a bad queue":           {[]string{one}, tasks.WithQueue("default")},
			"a bad job ID":          {[]string{one}, tasks.WithJobID("a\x00b")},
			"the number as ID":      {[]string{one}, tasks.WithJobID("job-" + one)},
			"a bad delay":           {[]string{one}, tasks.WithDelay(-1)},
			"a bad retention":       {[]string{one}, tasks.WithRetention(time.Millisecond)},
			"a long reason":         {[]string{one}, tasks.WithReason(string(make([]byte, 10_000)))},
			"the number as reason":  {[]string{one}, tasks.WithReason("it was " + one)},
			"a time to come":        {[]string{one}, tasks.WithAsOf(time.Now().Add(time.Hour))},
			"an end that was":       {[]string{one}, tasks.WithExpiry(time.Now().Add(-time.Hour))},
		} {
			if job, err := r.Block(t.Context(), ask.inputs, ask.option); err == nil || job.Accepted != 0 {
				t.Errorf("%s was taken: %+v", name, job)
			}
		}
		if _, err := r.Unblock(t.Context(), []string{one}, tasks.WithExpiry(time.Now().Add(time.Hour))); err == nil {
			t.Error("an unblock that ends was taken")
		}
	})
}

// TestFail: requests fail as when Redis is away, and the same request goes through afterwards.
func TestFail(t *testing.T) {
	t.Parallel()
	p := taskfixture.Must(taskstest.New(tasks.ProducerConfig{PhoneNumberID: phoneNumberID}))(t)
	p.Fail(tasks.ErrRedisFull)
	job, err := p.Block(t.Context(), []string{one})
	if failed, ok := errors.AsType[*tasks.EnqueueError](err); !ok || !errors.Is(err, tasks.ErrRedisFull) || failed.JobID != job.ID || job.ID == "" {
		t.Fatalf("%+v, %v", job, err)
	}
	p.Fail(nil)
	if again := taskfixture.Must(p.Block(t.Context(), []string{one}, tasks.WithJobID(job.ID)))(t); again.Repeated || again.ID != job.ID {
		t.Errorf("%+v", again)
	}
	if err := p.Succeed(job.ID, three); err == nil {
		t.Error("a number that is not in the job was settled")
	}
	if _, err := taskstest.New(tasks.ProducerConfig{PhoneNumberID: "+1650"}); err == nil {
		t.Error("a fake with a bad phone number ID")
	}
}

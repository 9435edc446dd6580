package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/taskstest"
	"github.com/wablock/wablock/tasks/user"
)

// sink is a producer that keeps what it is asked for, in the order in which it answered.
type sink struct {
	took func(tasks.Request) time.Duration // default none
	hold chan struct{}                     // default none: closed, it lets all go

	mu   sync.Mutex
	jobs []tasks.Request
}

func (s *sink) PhoneNumberID() string { return phoneNumberID }

func (s *sink) Allowed(_ context.Context, _ tasks.Request, users []user.ID, rejected []tasks.Rejection) ([]user.ID, []tasks.Rejection, error) {
	return users, rejected, nil
}

func (s *sink) Enqueue(ctx context.Context, r tasks.Request) (tasks.Job, error) {
	if s.took != nil {
		time.Sleep(s.took(r)) //nolint:forbidigo // of a bubble
	}
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return tasks.Job{}, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, r)
	return tasks.Job{ID: fmt.Sprint("job-", len(s.jobs)), Version: ledger.Version(len(s.jobs)), Users: r.Users, Accepted: len(r.Users), Tasks: 1}, nil
}

// sizes returns the users of each job.
func (s *sink) sizes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int
	for _, r := range s.jobs {
		out = append(out, len(r.Users))
	}
	return out
}

func newBatcher(t testing.TB, p tasks.BatchProducer, cfg tasks.BatcherConfig) *tasks.Batcher {
	t.Helper()
	return must(tasks.NewBatcher(p, cfg))(t)
}

// waitAll waits until all have their answers, and returns the jobs.
func waitAll(t testing.TB, all []*tasks.Pending) []tasks.Job {
	t.Helper()
	out := make([]tasks.Job, len(all))
	for i, p := range all {
		out[i] = must(p.Wait(t.Context()))(t)
	}
	return out
}

func TestBatcherGathers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		b := newBatcher(t, s, tasks.BatcherConfig{MaxUsers: 100})
		start := time.Now()
		var all []*tasks.Pending
		for i := range 250 {
			all = append(all, must(b.Add(t.Context(), tasks.Block, num(i).Reveal(), tasks.WithReason("spam")))(t))
		}
		again := must(b.Add(t.Context(), tasks.Block, num(249).Reveal(), tasks.WithReason("spam")))(t)
		jobs := waitAll(t, all)
		if took := time.Since(start); took != 5*time.Millisecond {
			t.Errorf("the last batch went after %v", took)
		}
		if got := s.sizes(); !slices.Equal(got, []int{100, 100, 50}) {
			t.Errorf("jobs of %v users", got)
		}
		for i, j := range jobs {
			if len(j.Users) != 1 || j.Users[0] != num(i) || j.Accepted != 1 || j.ID == "" || j.Version == 0 || j.Operation != tasks.Block || j.PhoneNumberID != phoneNumberID || j.Queue != tasks.Interactive {
				t.Fatalf("%d: %+v", i, j)
			}
		}
		if j := must(again.Wait(t.Context()))(t); j.ID != jobs[249].ID {
			t.Errorf("the same user again: %+v", j)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if r := s.jobs[0]; r.Reason != "spam" || r.Queue != tasks.Interactive {
			t.Errorf("%+v", r)
		}
	})
}

// TestBatcherFillsWhileBusy: a batch that has waited long enough takes more for as long as no sender is free.
func TestBatcherFillsWhileBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{took: func(tasks.Request) time.Duration { return time.Second }}
		b := newBatcher(t, s, tasks.BatcherConfig{Senders: 1})
		for i := range 10 {
			must(b.Add(t.Context(), tasks.Block, num(i).Reveal()))(t)
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // of a bubble
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := s.sizes(); !slices.Equal(got, []int{1, 9}) {
			t.Errorf("jobs of %v users", got)
		}
	})
}

// TestBatcherKeepsApart: requests that differ in anything but their users share no batch.
func TestBatcherKeepsApart(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Hour)
	differs := map[string]tasks.Option{
		"PhoneNumberID": tasks.WithPhoneNumberID("7"),
		"Queue":         tasks.WithQueue(tasks.Bulk),
		"Delay":         tasks.WithDelay(time.Hour),
		"Version":       func(r *tasks.Request) { r.Version = 7 },
		"JobID":         tasks.WithJobID("a"),
		"Retention":     tasks.WithRetention(time.Hour),
		"Requester":     tasks.WithRequester("ana"),
		"Reason":        tasks.WithReason("spam"),
		"Reference":     tasks.WithReference("T-1"),
		"AsOf":          tasks.WithAsOf(at),
		"Until":         tasks.WithExpiry(at.Add(24 * time.Hour)),
		"Standing":      tasks.WithStanding(),
		"Unparked":      func(r *tasks.Request) { r.Unparked = true },
		"Unlisted":      func(r *tasks.Request) { r.Unlisted, r.Version = true, 7 },
	}
	for f := range reflect.TypeFor[tasks.Request]().Fields() {
		if _, is := differs[f.Name]; !is && f.IsExported() && !slices.Contains([]string{"Operation", "Users", "Given", "Rejected"}, f.Name) {
			t.Errorf("no case for %s", f.Name)
		}
	}
	for name, option := range differs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sink{}
			b := newBatcher(t, s, tasks.BatcherConfig{Wait: time.Hour})
			for i := range 2 {
				must(b.Add(t.Context(), tasks.Block, num(i).Reveal(), option))(t)
				must(b.Add(t.Context(), tasks.Block, num(10+i).Reveal()))(t)
				must(b.Add(t.Context(), tasks.Unblock, num(20+i).Reveal()))(t)
			}
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := []int{2, 2, 2}
			if name == "JobID" { // each goes by itself: the second user under this ID is a conflict, which Redis finds
				want = []int{1, 1, 2, 2}
			}
			got := s.sizes()
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("jobs of %v users, not %v", got, want)
			}
		})
	}
}

// TestBatcherKeepsOrder: of each user the newest request has the newest version, however long each batch takes, and
// every request is in some batch.
func TestBatcherKeepsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		type request struct {
			user  int
			op    tasks.Operation
			about string
			pause time.Duration
		}
		requests := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) request {
			return request{
				rapid.IntRange(0, 4).Draw(r, "user"), rapid.SampledFrom([]tasks.Operation{tasks.Block, tasks.Unblock}).Draw(r, "op"),
				rapid.SampledFrom([]string{"", "spam"}).Draw(r, "about"), time.Duration(rapid.IntRange(0, 3).Draw(r, "pause")) * 2 * time.Millisecond,
			}
		}), 1, 40).Draw(r, "requests")
		takes := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 10).Draw(r, "takes")
		senders := rapid.IntRange(1, 4).Draw(r, "senders")
		most := rapid.IntRange(1, 5).Draw(r, "users a batch")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			n := 0
			s := &sink{took: func(tasks.Request) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				n++
				return time.Duration(takes[n%len(takes)]) * time.Millisecond
			}}
			b := newBatcher(t, s, tasks.BatcherConfig{Senders: senders, MaxUsers: most, Queue: 10})
			var all []*tasks.Pending
			newest := map[user.ID]request{}
			for _, q := range requests {
				all = append(all, must(b.Add(t.Context(), q.op, num(q.user).Reveal(), tasks.WithReason(q.about)))(t))
				newest[num(q.user)] = q
				time.Sleep(q.pause) //nolint:forbidigo // of a bubble
			}
			if err := b.Close(t.Context()); err != nil {
				wrong = err.Error()
			}
			for i, p := range all {
				job := must(p.Wait(t.Context()))(t)
				of := s.jobs[job.Version-1]
				if q := requests[i]; of.Operation != q.op || of.Reason != q.about || !slices.Contains(of.Users, num(q.user)) || len(of.Users) > most {
					wrong = fmt.Sprintf("request %d is in %+v", i, of)
				}
			}
			got := map[user.ID]request{}
			for _, job := range s.jobs {
				for _, u := range job.Users {
					got[u] = request{op: job.Operation, about: job.Reason}
				}
			}
			for u, q := range newest {
				if got[u].op != q.op || got[u].about != q.about {
					wrong = fmt.Sprintf("a user's newest request is %+v, not %+v", got[u], q)
				}
			}
		})
		if wrong != "" {
			r.Error(wrong)
		}
	})
}

// TestBatcherHoldsBack: a full queue makes callers wait, for as long as they want to.
func TestBatcherHoldsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hold: make(chan struct{})}
		b := newBatcher(t, s, tasks.BatcherConfig{Queue: 3})
		var all []*tasks.Pending
		for i := range 3 {
			all = append(all, must(b.Add(t.Context(), tasks.Block, num(i).Reveal()))(t))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Add(short, tasks.Block, num(3).Reveal()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if _, err := all[0].Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		added := make(chan error)
		go func() {
			_, err := b.Block(t.Context(), num(4).Reveal())
			added <- err
		}()
		synctest.Wait()
		close(s.hold)
		if err := <-added; err != nil {
			t.Error(err)
		}
		waitAll(t, all)
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := s.sizes(); !slices.Equal(got, []int{3, 1}) {
			t.Errorf("jobs of %v users", got)
		}
	})
}

func TestBatcherCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &sink{hold: make(chan struct{})}
		b := newBatcher(t, s, tasks.BatcherConfig{Wait: time.Hour, Queue: 1, Timeout: time.Minute})
		pending := must(b.Add(t.Context(), tasks.Block, num(0).Reveal()))(t)
		waiting := make(chan error)
		go func() {
			_, err := b.Block(t.Context(), num(1).Reveal())
			waiting <- err
		}()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed early: %v", err)
		}
		if err := <-waiting; !errors.Is(err, tasks.ErrBatcherClosed) {
			t.Errorf("one that waited for room: %v", err)
		}
		close(s.hold)
		for range 2 {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		must(pending.Wait(t.Context()))(t)
		if _, err := b.Block(t.Context(), num(1).Reveal()); !errors.Is(err, tasks.ErrBatcherClosed) {
			t.Errorf("after the end: %v", err)
		}
		if err := newBatcher(t, s, tasks.BatcherConfig{}).Close(t.Context()); err != nil {
			t.Errorf("one that was never used: %v", err)
		}
	})
}

// TestBatcherTellsEach: what is wrong with one request fails no other, and what fails a batch is told to all of it.
func TestBatcherTellsEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := must(taskstest.New(tasks.ProducerConfig{PhoneNumberID: phoneNumberID}))(t)
		if err := fake.Protect("our staff", num(2).Reveal()); err != nil {
			t.Fatal(err)
		}
		b := newBatcher(t, fake, tasks.BatcherConfig{})
		good := must(b.Add(t.Context(), tasks.Block, num(1).Reveal(), tasks.WithReason("reported by "+num(3).Reveal())))(t)
		safe := must(b.Add(t.Context(), tasks.Block, num(2).Reveal(), tasks.WithReason("reported by "+num(3).Reveal())))(t)
		if job, err := b.Block(t.Context(), "call me"); !errors.Is(err, tasks.ErrNoUsers) || len(job.Rejected) != 1 {
			t.Errorf("no number: %+v, %v", job, err)
		}
		for name, option := range map[string]tasks.Option{
			"itself as the reason": tasks.WithReason("reported by " + num(3).Reveal()),
			"a bad queue":          tasks.WithQueue("default"),
			"a bad phone number":   tasks.WithPhoneNumberID("x"),
			"a bad job ID":         tasks.WithJobID("a\x00b"),
		} {
			if p, err := b.Add(t.Context(), tasks.Block, num(3).Reveal(), option); err == nil || p != nil {
				t.Errorf("%s was taken", name)
			}
		}
		if job := must(good.Wait(t.Context()))(t); job.Accepted != 1 || len(job.Rejected) != 0 {
			t.Errorf("%+v", job)
		}
		if job, err := safe.Wait(t.Context()); !errors.Is(err, tasks.ErrNoUsers) || len(job.Rejected) != 1 || job.Accepted != 0 || job.ID != "" {
			t.Errorf("a protected user: %+v, %v", job, err)
		}
		fake.Fail(tasks.ErrRedisFull)
		var all []*tasks.Pending
		for i := range 2 {
			all = append(all, must(b.Add(t.Context(), tasks.Block, num(4+i).Reveal()))(t))
		}
		for _, p := range all {
			job, err := p.Wait(t.Context())
			if failed, is := errors.AsType[*tasks.EnqueueError](err); !errors.Is(err, tasks.ErrRedisFull) || is || job.ID != "" || job.Accepted != 0 {
				t.Errorf("a full Redis: %+v, %v, %v", job, err, failed)
			}
		}
		named, err := b.Block(t.Context(), num(6).Reveal(), tasks.WithJobID("case-7"))
		if _, is := errors.AsType[*tasks.EnqueueError](err); !is || named.ID != "case-7" {
			t.Errorf("a job ID of its own: %+v, %v", named, err)
		}
		fake.Fail(nil)
		for range 2 {
			named = must(b.Block(t.Context(), num(6).Reveal(), tasks.WithJobID("case-7")))(t)
		}
		if !named.Repeated {
			t.Errorf("%+v", named)
		}
		if _, err := b.Block(t.Context(), num(7).Reveal(), tasks.WithJobID("case-7")); !errors.Is(err, tasks.ErrJobConflict) {
			t.Errorf("another user under the same ID: %v", err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestBatcherRefusesSettings(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]tasks.BatcherConfig{
		"users": {MaxUsers: 1001}, "no users": {MaxUsers: -1}, "queue": {Queue: -1}, "senders": {Senders: -1}, "wait": {Wait: -1}, "timeout": {Timeout: -1},
	} {
		if _, err := tasks.NewBatcher(&sink{}, cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := tasks.NewBatcher(nil, tasks.BatcherConfig{}); err == nil {
		t.Error("no producer was taken")
	}
}

// TestBatcherInRedis: many callers at once, each of which blocks users and takes every second one back.
func TestBatcherInRedis(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		b := newBatcher(t, f.Producer, tasks.BatcherConfig{Senders: 3})
		const callers, users = 8, 50
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				var all []*tasks.Pending
				for i := range users {
					n := num(c*users + i).Reveal()
					for _, op := range []tasks.Operation{tasks.Block, tasks.Unblock}[:1+i%2] {
						p, err := b.Add(t.Context(), op, n)
						if err != nil {
							t.Error(err)
							return
						}
						all = append(all, p)
					}
				}
				for _, p := range all {
					if job, err := p.Wait(t.Context()); err != nil || job.Version == 0 || job.Accepted != 1 {
						t.Errorf("%+v, %v", job, err)
					}
				}
			})
		}
		wg.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		entries := must(f.Ledger.Entries(t.Context(), nums(callers*users)))(t)
		for i, e := range entries {
			if want := []tasks.Operation{tasks.Block, tasks.Unblock}[i%users%2]; e.Operation != want {
				t.Fatalf("user %d: %+v, not %s", i, e, want)
			}
		}
	})
}

package worker_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
)

// stub is an API in a few lines.
type stub struct {
	do     func(ctx context.Context, users []user.ID) (*client.Result, error)
	calls  atomic.Int64
	checks atomic.Int64
}

func (s *stub) Block(ctx context.Context, _ string, users []user.ID) (*client.Result, error) {
	s.calls.Add(1)
	return s.do(ctx, users)
}

func (s *stub) Unblock(ctx context.Context, id string, users []user.ID) (*client.Result, error) {
	return s.Block(ctx, id, users)
}

func (s *stub) Check(context.Context, string) error {
	s.checks.Add(1)
	return nil
}

func (s *stub) serve(w *world) {
	w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
		return worker.PhoneNumber{ID: id, API: s, Token: w.token, Listed: true}, true
	}
}

func allDone(users []user.ID) *client.Result {
	r := &client.Result{Outcomes: make([]client.Outcome, len(users))}
	for i, u := range users {
		r.Outcomes[i] = client.Outcome{User: u, State: client.Succeeded}
	}
	return r
}

var errBadUser = &client.APIError{Code: 131009, Message: "Parameter value is not valid"}

// sunkBy serves calls, but for those with users that sink them.
func sunkBy(t *testing.T, numbers ...string) *stub {
	t.Helper()
	bad := map[user.ID]bool{}
	for _, n := range numbers {
		id, err := user.Parse(n)
		if err != nil {
			t.Fatal(err)
		}
		bad[id] = true
	}
	return &stub{do: func(_ context.Context, users []user.ID) (*client.Result, error) {
		for _, u := range users {
			if bad[u] {
				return nil, errBadUser
			}
		}
		return allDone(users), nil
	}}
}

// ended waits, on the bubble's clock, for the end of all of a job's users.
func (b *bubble) ended(numbers []string, job ledger.Version, d time.Duration) (succeeded, dead int) {
	b.t.Helper()
	users := make([]user.ID, len(numbers))
	for i, n := range numbers {
		users[i], _ = user.Parse(n)
	}
	for start := time.Now(); ; <-time.After(100 * time.Millisecond) {
		p, err := b.producer.Progress(b.t.Context(), phoneNumberID, job, users)
		if err != nil {
			b.t.Fatal(err)
		}
		if p.Pending == 0 {
			b.t.Logf("ended after %v", time.Since(start))
			return p.Succeeded, p.DeadLettered
		}
		if time.Since(start) > d {
			b.t.Fatalf("not ended after %v: %+v", d, p)
		}
	}
}

// TestSplitUnderASlowLimit: tokens come more slowly than a claim lasts, and the one user who
// sinks every call is found all the same, alone or in company.
func TestSplitUnderASlowLimit(t *testing.T) {
	for name, numbers := range map[string][]string{"alone": numbersFrom(0, 1), "in company": numbersFrom(0, 8)} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
				s := sunkBy(t, numbers[0])
				s.serve(b.world)
				b.cfg.RequestTimeout = time.Second
				b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 0.05, Burst: 1} })
				job := b.enqueue(ledger.Block, numbers...)
				stop := b.runLanes(job)
				ok, dead := b.ended(numbers, job.Version, 20*time.Minute)
				if ok != len(numbers)-1 || dead != 1 {
					t.Errorf("%d succeeded, %d are dead", ok, dead)
				}
				if n := s.calls.Load(); n > 9 {
					t.Errorf("%d calls to find one among %d", n, len(numbers))
				}
				stop()
			})
		})
	}
}

// TestSettleOutlastsAnOutageOfRedis: with a long request timeout a claim lasts long, and what
// came of a call is written down for as long.
func TestSettleOutlastsAnOutageOfRedis(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		s := &stub{do: func(_ context.Context, users []user.ID) (*client.Result, error) {
			b.mini.SetError("LOADING Redis is loading the dataset in memory")
			time.AfterFunc(time.Minute, func() { b.mini.SetError("") })
			return allDone(users), nil
		}}
		s.serve(b.world)
		b.cfg.RequestTimeout = 10 * time.Minute
		job := b.enqueue(ledger.Block, numbersFrom(0, 3)...)
		stop := b.runLanes(job)
		<-time.After(time.Minute + time.Second)
		b.settledWithin(job, 10*time.Second)
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		stop()
	})
}

// slowClaims is a Redis that takes its time to answer claims.
type slowClaims struct {
	commandCounter
	by time.Duration
}

func (h *slowClaims) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		for _, a := range cmd.Args() {
			if k, ok := a.(string); ok && k == "wablock:{"+phoneNumberID+"}:hold" {
				<-time.After(h.by)
			}
		}
		return err
	}
}

// TestSlowRedisLeavesCallsTheirTime: the request timeout is the API's, not Redis's.
func TestSlowRedisLeavesCallsTheirTime(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		s := &stub{do: func(ctx context.Context, users []user.ID) (*client.Result, error) {
			select {
			case <-time.After(15 * time.Millisecond):
				return allDone(users), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		s.serve(b.world)
		b.cfg.RequestTimeout = 20 * time.Millisecond
		b.rdb.AddHook(&slowClaims{by: 50 * time.Millisecond})
		job := b.enqueue(ledger.Block, numbersFrom(0, 3)...)
		stop := b.runLanes(job)
		b.settledWithin(job, 10*time.Second)
		stop()
	})
}

// TestLateCallIsNotMade: when the reply of a claim comes after the claim's end, or nearly, no
// call goes out, and no attempt is used up.
func TestLateCallIsNotMade(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		s := sunkBy(t)
		s.serve(b.world)
		b.cfg.RequestTimeout = 100 * time.Millisecond
		b.cfg.MaxAttempts = 1
		b.rdb.AddHook(&slowClaims{by: 3 * time.Second})
		job := b.enqueue(ledger.Block, numbersFrom(0, 3)...)
		stop := b.runLanes(job)
		<-time.After(2 * time.Minute)
		b.untouched(job)
		if n := s.calls.Load(); n > 0 {
			t.Errorf("%d calls", n)
		}
		stop()
	})
}

// TestChecksAreFew: a job in which every second user is at fault costs no second request for each.
func TestChecksAreFew(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		bad, good := numbersFrom(0, 32), numbersFrom(100, 32)
		var numbers []string
		for i := range bad {
			numbers = append(numbers, bad[i], good[i])
		}
		s := sunkBy(t, bad...)
		s.serve(b.world)
		job := b.enqueue(ledger.Block, numbers...)
		stop := b.runLanes(job)
		if _, dead := b.ended(numbers, job.Version, time.Minute); dead != len(bad) {
			t.Errorf("%d are dead", dead)
		}
		if n := s.checks.Load(); n != 1 {
			t.Errorf("%d checks", n)
		}
		stop()
	})
}

// shut gives leave at any time but between two.
type shut struct{ from, until time.Time }

func (l shut) Take(context.Context, ratelimit.Key) (ratelimit.Grant, error) {
	if now := time.Now(); now.After(l.from) && now.Before(l.until) {
		return ratelimit.Grant{Wait: l.until.Sub(now), Reason: ratelimit.Pace, MaxUsers: 1000}, nil
	}
	return ratelimit.Grant{OK: true, MaxUsers: 1000}, nil
}

func (shut) Cancel(context.Context, ratelimit.Key, ratelimit.Grant) error { return nil }

func (shut) GiveUp(context.Context, ratelimit.Key) error { return nil }

func (shut) Report(context.Context, ratelimit.Key, ratelimit.Grant, ratelimit.Observation) error {
	return nil
}

// TestSplitLeavesOutWhoIsWantedAnew: a user that is requested anew while a call waits to be
// checked leaves its claim, and is in none of its halves.
func TestSplitLeavesOutWhoIsWantedAnew(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		numbers := numbersFrom(0, 4)
		s := sunkBy(t, numbers[0])
		anew, err := user.Parse(numbers[3])
		if err != nil {
			t.Fatal(err)
		}
		do, sent := s.do, 0
		s.do = func(ctx context.Context, users []user.ID) (*client.Result, error) {
			if slices.Contains(users, anew) {
				sent++
			}
			<-time.After(10 * time.Millisecond)
			return do(ctx, users)
		}
		s.serve(b.world)
		b.cfg.RequestTimeout = time.Second
		b.cfg.Limiter = shut{time.Now().Add(time.Millisecond), time.Now().Add(10 * time.Second)}
		stop := b.runLanes(b.enqueue(ledger.Block, numbers...))
		<-time.After(5 * time.Second)
		job := b.enqueue(ledger.Unblock, numbers[3])
		b.settledWithin(job, time.Minute)
		if sent != 2 {
			t.Errorf("sent %d times for two requests", sent)
		}
		stop()
	})
}

// TestPartsAreGivenBackAfterAnOutageOfRedis: what a call leaves out since the list has no room for it
// waits again soon after Redis answers, and not only when the claim ends.
func TestPartsAreGivenBackAfterAnOutageOfRedis(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		s := &stub{}
		s.do = func(_ context.Context, users []user.ID) (*client.Result, error) {
			if s.calls.Load() == 1 {
				b.mini.SetError("LOADING Redis is loading the dataset in memory")
				time.AfterFunc(5*time.Second, func() { b.mini.SetError("") })
			}
			if len(users) > 1 {
				return nil, &client.APIError{Code: 139101}
			}
			return allDone(users), nil
		}
		s.serve(b.world)
		b.cfg.RequestTimeout = 5 * time.Minute
		job := b.enqueue(ledger.Block, numbersFrom(0, 4)...)
		defer b.runLanes(job)()
		<-time.After(30 * time.Second)
		b.settledWithin(job, 10*time.Second)
	})
}

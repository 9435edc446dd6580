package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// runReady returns a worker that runs, for its readiness.
func (b *bubble) runReady() (w *worker.Worker, stop func()) {
	b.t.Helper()
	w, err := worker.New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return w, b.start(w)
}

// deadLetters counts the dead letters.
func (b *bubble) deadLetters() int {
	b.t.Helper()
	n, err := letters(b.t, b.dead)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// TestOutageOfAnyCode: whole calls that fail one after another are an outage whatever the code,
// with the list or without it, from the start or after calls that were served.
func TestOutageOfAnyCode(t *testing.T) {
	t.Parallel()
	blocks := []simulator.Operation{simulator.Block, simulator.Unblock}
	codes := []int{139103, 10, 2500, 139102, 777777, 131000}
	for _, code := range codes[:redistest.Rounds(t, 1, len(codes))] {
		for name, ops := range map[string][]simulator.Operation{"blocks": blocks, "everything": nil} {
			for _, served := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d/%s/%v", code, name, served), func(t *testing.T) {
					t.Parallel()
					sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: code, Operations: ops}}, Journal: briefJournal}
					inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
						b.cfg.MaxAttempts, b.cfg.Poll, b.cfg.Logger = 3, 10*time.Second, nil
						w, stop := b.runReady()
						defer stop()
						if served && !b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(1000, 3)...), time.Minute) {
							return
						}
						if err := b.sim.SetScenario(sc); err != nil {
							t.Fatal(err)
						}
						calls := len(b.sim.Journal())
						job := b.enqueue(ledger.Block, numbersFrom(0, 300)...)
						<-time.After(6 * time.Minute)
						if n := b.deadLetters(); n > 0 {
							t.Errorf("%d dead letters", n)
						}
						if err := w.Ready(t.Context()); err == nil {
							t.Error("the worker is ready")
						} else {
							t.Log(err)
						}
						more := len(b.sim.Journal()) - calls
						t.Logf("%d calls", more)
						if more > 200 {
							t.Errorf("%d calls in six minutes", more)
						}
						if err := b.sim.SetScenario(simulator.Scenario{}); err != nil {
							t.Fatal(err)
						}
						if b.succeedWithin(job, 6*time.Minute) && w.Ready(t.Context()) != nil {
							t.Error("not ready after the outage")
						}
					})
				})
			}
		}
	}
}

// TestSettingThatGoesWrong: the app secret changes, or the version is no longer served, while
// users wait and just after a call was served.
func TestSettingThatGoesWrong(t *testing.T) {
	t.Parallel()
	for name, sc := range map[string]simulator.Scenario{
		"app secret": {AppSecret: "theirs"},
		"version":    {Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 2635}}},
		"parameter":  {Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 131008}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
				b.cfg.MaxAttempts, b.cfg.Poll, b.cfg.Logger = 3, 10*time.Second, nil
				w, stop := b.runReady()
				defer stop()
				if !b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(5000, 3)...), time.Minute) {
					return
				}
				if err := b.sim.SetScenario(sc); err != nil {
					t.Fatal(err)
				}
				job := b.enqueue(ledger.Block, numbersFrom(0, 1200)...)
				<-time.After(3 * time.Minute)
				if n := b.deadLetters(); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				if w.Ready(t.Context()) == nil {
					t.Error("the worker is ready")
				}
				if err := b.sim.SetScenario(simulator.Scenario{}); err != nil {
					t.Fatal(err)
				}
				b.succeedWithin(job, 6*time.Minute)
			})
		})
	}
}

// TestHaltedThenDown: a breaker that is open for one reason does not spin when its probes meet
// another one.
func TestHaltedThenDown(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{Tokens: []simulator.Token{{Token: "another"}}}, func(t *testing.T, b *bubble) {
		b.cfg.Poll, b.cfg.Logger = 10*time.Second, nil
		stop := b.run()
		defer stop()
		b.enqueue(ledger.Block, numbersFrom(0, 20)...)
		<-time.After(10 * time.Second)
		if err := b.sim.SetScenario(simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectHTML}}}); err != nil {
			t.Fatal(err)
		}
		before := len(b.sim.Journal())
		<-time.After(10 * time.Minute)
		if n := len(b.sim.Journal()) - before; n > 20 {
			t.Errorf("%d calls in ten minutes", n)
		}
	})
}

// full is a world whose list holds as many users as it can.
func full(sc simulator.Scenario, capacity int) simulator.Scenario {
	var blocked []string
	for i := range capacity {
		blocked = append(blocked, fmt.Sprintf("+1650557%04d", i))
	}
	sc.Blocking.Capacity = capacity
	sc.PhoneNumbers = []simulator.PhoneNumber{{ID: phoneNumberID, Blocked: blocked}}
	return sc
}

// TestFullList: while the list is full blocks wait. A user that was unblocked makes room for one,
// and an unblock, even of a user that was not on the list, kills no block of another user.
func TestFullList(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"user", "call"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sc := full(simulator.Scenario{Blocking: simulator.Blocking{FullList: kind}}, 100)
			inBubble(t, sc, func(t *testing.T, b *bubble) {
				b.cfg.Logger = nil
				stop := b.run()
				defer stop()
				proof := b.enqueue(ledger.Block, "+16505550000")
				<-time.After(3 * time.Second)
				if p, err := b.producer.Progress(t.Context(), phoneNumberID, proof.Version, proof.Users); err != nil || p.DeadLettered != 1 {
					t.Errorf("the block that found the list full: %+v, %v", p, err)
				}
				waiting := b.enqueue(ledger.Block, numbersFrom(1, 2000)...)
				<-time.After(10 * time.Second)
				listed := func() int { return len(b.sim.Snapshot(phoneNumberID)) }
				for _, n := range []string{"+16505580001", "+16505580002", "+16505580003"} { // were never on the list
					b.succeedWithin(b.enqueue(ledger.Unblock, n), 5*time.Second)
				}
				for i := range 5 {
					b.succeedWithin(b.enqueue(ledger.Unblock, fmt.Sprintf("+1650557%04d", i)), 5*time.Second)
					<-time.After(10 * time.Second)
					if got := listed(); got != 100 {
						t.Errorf("%d users are on the list after unblock %d", got, i)
					}
				}
				p, err := b.producer.Progress(t.Context(), phoneNumberID, waiting.Version, waiting.Users)
				if err != nil || p.Succeeded != 5 || p.DeadLettered != 0 {
					t.Errorf("%+v, %v", p, err)
				}
				before := len(b.sim.Journal())
				<-time.After(10 * time.Minute)
				if n := len(b.sim.Journal()) - before; n > 12 {
					t.Errorf("%d calls in ten minutes without a sign of room", n)
				}
				if n := b.deadLetters(); n != 1 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestRoomThatNothingTells: room that others made is found by a trial soon after a new request, and
// then used quickly.
func TestRoomThatNothingTells(t *testing.T) {
	t.Parallel()
	for _, clock := range []time.Duration{0, -time.Hour, time.Hour} { // Redis's, by the worker's
		t.Run(clock.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, full(simulator.Scenario{}, 100), func(t *testing.T, b *bubble) {
				b.cfg.Logger = nil
				defer b.setClock(clock)()
				stop := b.run()
				defer stop()
				b.enqueue(ledger.Block, "+16505550000")
				<-time.After(3 * time.Second)
				waiting := b.enqueue(ledger.Block, numbersFrom(1, 2000)...)
				<-time.After(8 * time.Minute)
				sc := full(simulator.Scenario{}, 100)
				sc.Blocking.Capacity = 10_000
				if err := b.sim.SetScenario(sc); err != nil {
					t.Fatal(err)
				}
				if b.succeedWithin(b.enqueue(ledger.Block, "+16505560000"), 20*time.Second) {
					b.succeedWithin(waiting, 6*time.Minute) // who was refused rests for up to five
				}
			})
		})
	}
}

// TestFullListOfACall: a list that refuses whole calls is filled with few calls.
func TestFullListOfACall(t *testing.T) {
	t.Parallel()
	sc := full(simulator.Scenario{Blocking: simulator.Blocking{FullList: "call"}}, 100)
	sc.Blocking.Capacity = 437
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		b.cfg.Logger = nil
		stop := b.run()
		defer stop()
		job := b.enqueue(ledger.Block, numbersFrom(0, 2000)...)
		<-time.After(time.Minute)
		p, err := b.producer.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
		if err != nil || p.Succeeded != 337 || p.DeadLettered != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		// Each claim has at most 2·log2(n) + 2.
		if n := len(b.sim.Journal()); n > 120 {
			t.Errorf("%d calls", n)
		} else {
			t.Logf("%d calls", n)
		}
	})
}

// TestTimeoutsMakeCallsSmaller: an API that takes time for each user serves no call of the usual
// size. The size that it serves is found, and kept.
func TestTimeoutsMakeCallsSmaller(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Latency: simulator.Latency{PerUser: simulator.Duration(4 * time.Millisecond)}, Journal: simulator.JournalLimits{Calls: 1000, Users: 1_000_000}}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		b.cfg.RequestTimeout, b.cfg.Logger = 3*time.Second, nil // 750 users
		stop := b.run()
		defer stop()
		job := b.enqueue(ledger.Block, numbersFrom(0, 4000)...)
		b.succeedWithin(job, time.Minute)
		if n := b.deadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestFullListIsFoundOnce has two workers, and one that starts later, find the list full: the first
// find dead-letters the block that was refused, the others' leave theirs waiting.
func TestFullListIsFoundOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"user", "call"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			inBubble(t, full(simulator.Scenario{Blocking: simulator.Blocking{FullList: kind}}, 10), func(t *testing.T, b *bubble) {
				b.cfg.Logger, b.cfg.Poll = nil, 10*time.Second
				b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 5, MaxUsers: 1} })
				defer b.run()()
				stop := b.run()
				b.enqueue(ledger.Block, numbersFrom(0, 30)...)
				<-time.After(15 * time.Second)
				stop()
				defer b.run()()
				b.enqueue(ledger.Block, numbersFrom(200, 30)...)
				<-time.After(15 * time.Second)
				if n := b.deadLetters(); n != 1 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestTrialsAreShared: requests for blocks come to three workers while the list is full. There is one trial in five seconds
// altogether.
func TestTrialsAreShared(t *testing.T) {
	t.Parallel()
	inBubble(t, full(simulator.Scenario{}, 10), func(t *testing.T, b *bubble) {
		b.cfg.Logger = nil
		for range 3 {
			defer b.run()()
		}
		b.enqueue(ledger.Block, numbersFrom(0, 10)...)
		<-time.After(10 * time.Second)
		for i := range 20 { // so that each worker finds the list full
			b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
			<-time.After(3 * time.Second)
		}
		before := len(b.sim.Journal())
		for i := range 120 {
			b.enqueue(ledger.Block, fmt.Sprintf("+1650558%04d", i))
			<-time.After(time.Second)
		}
		trials := len(b.sim.Journal()) - before
		if t.Logf("%d trials in two minutes", trials); trials < 12 || trials > 26 {
			t.Error("the workers do not share them")
		}
		if n := b.deadLetters(); n != 10 {
			t.Errorf("%d dead letters", n)
		}
	})
}

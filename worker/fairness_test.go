package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestInteractiveBlocksStarveNoBulkUnblocks keeps an interactive block waiting before every call. A call carries one
// operation, so that by the queues' order alone no unblock would ever go.
func TestInteractiveBlocksStarveNoBulkUnblocks(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.cfg.Limiter = redislimit.New(w.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 1} })
		bulk, err := w.producer.Unblock(t.Context(), numbersFrom(0, 3), tasks.WithQueue(ledger.Bulk))
		if err != nil {
			t.Fatal(err)
		}
		w.enqueue(ledger.Block, "+16505559999")
		w.run()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range 1500 {
			w.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
			p, err := w.producer.Progress(t.Context(), phoneNumberID, bulk.Version, bulk.Users)
			if err != nil {
				t.Fatal(err)
			}
			if p.Succeeded == len(bulk.Users) {
				return
			}
			<-tick.C
		}
		t.Errorf("after %d calls no unblock has gone", len(w.sim.Journal()))
	})
}

// TestFreshUsersPassRetries keeps 600 users failing, more than the retry budget lets go, and then
// asks for 100 others in the same queue.
func TestFreshUsersPassRetries(t *testing.T) {
	t.Parallel()
	failing := numbersFrom(0, 600)
	inBubble(t, simulator.Scenario{
		Faults: []simulator.Fault{{Effect: simulator.EffectFailUser, Code: 139103, Users: failing}},
	}, func(t *testing.T, b *bubble) {
		b.cfg.Logger, b.cfg.MaxAttempts = nil, 1000
		b.cfg.RetryDelay = 100 * time.Millisecond
		b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 5, MaxUsers: 2} })
		defer b.run()()
		b.enqueue(ledger.Block, failing...)
		<-time.After(20 * time.Second)
		counter := new(commandCounter)
		b.rdb.AddHook(counter)
		<-time.After(10 * time.Second)
		if n := counter.n.Load(); n > 2500 {
			t.Errorf("%d commands in 10 s", n)
		}
		fresh := b.enqueue(ledger.Block, numbersFrom(5000, 100)...)
		asked := time.Now()
		b.succeedWithin(fresh, 10*time.Second)
		t.Logf("done after %v", time.Since(asked))
	})
}

// TestAfterAPartOfCallsFailed lets every fifth call fail for 20 s.
func TestAfterAPartOfCallsFailed(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{
		Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 131000, Every: 5}},
	}, func(t *testing.T, b *bubble) {
		b.cfg.Logger = nil
		b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 5, MaxUsers: 1} })
		defer b.run()()
		job := b.enqueue(ledger.Block, numbersFrom(0, 400)...)
		<-time.After(20 * time.Second)
		if err := b.sim.SetScenario(simulator.Scenario{}); err != nil {
			t.Fatal(err)
		}
		b.succeedWithin(job, 15*time.Second)
	})
}

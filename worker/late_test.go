package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
)

// heldAPI keeps its first block back until it is released.
type heldAPI struct {
	worker.API
	blocks         atomic.Int32
	began, release chan struct{}
}

func (a *heldAPI) Block(ctx context.Context, id string, users []user.ID) (*client.Result, error) {
	if a.blocks.Add(1) == 1 {
		close(a.began)
		<-a.release
	}
	return a.API.Block(ctx, id, users)
}

// TestLateCallIsRepaired loses a claim while its call is out, as a failover does that loses the last
// second, and lets that block end after its user was unblocked.
func TestLateCallIsRepaired(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		held := &heldAPI{began: make(chan struct{}), release: make(chan struct{})}
		w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
			n, ok := w.resolve(id)
			if held.API == nil {
				held.API = n.API
			}
			n.API = held
			return n, ok
		}
		w.run()
		const number = "+16505550001"
		block := w.enqueue(ledger.Block, number)
		<-held.began
		if err := w.rdb.ZAdd(t.Context(), "wablock:{"+phoneNumberID+"}:later", redis.Z{Score: 1, Member: number}).Err(); err != nil {
			t.Fatal(err)
		}
		w.settled(block)
		w.settled(w.enqueue(ledger.Unblock, number))
		close(held.release)
		w.eventually("one more call unblocks the user", func() bool {
			journal := w.sim.Journal()
			return len(journal) >= 4 && len(w.sim.Snapshot(phoneNumberID)) == 0 && w.entry(number).State == ledger.Succeeded
		})
		if e := w.entry(number); e.Operation != ledger.Unblock {
			t.Errorf("%+v", e)
		}
	})
}

// TestWaitingUsersAreFoundAtStart has a user wait whose task was lost.
func TestWaitingUsersAreFoundAtStart(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const number = "+16505550001"
		id, err := user.FromCanonical(number)
		if err != nil {
			t.Fatal(err)
		}
		l := ledger.New(w.rdb, phoneNumberID)
		v, err := l.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Mark(t.Context(), []ledger.Request{{User: id, Operation: ledger.Block, Queue: ledger.Bulk, Version: v}}); err != nil {
			t.Fatal(err)
		}
		w.cfg.Configured = []string{phoneNumberID}
		w.run()
		w.eventually("the user is blocked", func() bool { return w.entry(number).State == ledger.Succeeded })
	})
}

// TestTwoSpellings blocks a Brazilian by the number with its ninth digit, which fails at first, and
// unblocks the same person by the number without: the person ends as unblocked, and so do the calls.
func TestTwoSpellings(t *testing.T) {
	t.Parallel()
	const dialled, waID = "+5592981723241", "559281723241"
	inBubble(t, simulator.Scenario{
		Users:  []simulator.User{{User: dialled, WaID: waID}},
		Faults: []simulator.Fault{{Effect: simulator.EffectFailUser, Code: 139103, Users: []string{dialled}, Times: 1}},
	}, func(t *testing.T, b *bubble) {
		b.cfg.Logger = nil
		defer b.run()()
		block := b.enqueue(ledger.Block, dialled)
		b.eventually("a call fails", func() bool { return b.entry(dialled).Attempts == 1 })
		unblock := b.enqueue(ledger.Unblock, "+"+waID)
		b.settled(unblock)
		b.settled(block)
		<-time.After(time.Minute)
		if list := b.sim.Snapshot(phoneNumberID); len(list) != 0 {
			t.Errorf("%d users are blocked", len(list))
		}
		if e, u := b.entry(dialled), b.entry("+"+waID); e.State != ledger.Succeeded || e.WaID != waID || u.State != ledger.Succeeded {
			t.Errorf("%+v\n%+v", e, u)
		}
		calls := 0
		for _, x := range b.sim.Journal() {
			if x.Operation != "list" {
				calls++
			}
		}
		if calls != 2 { // the block that failed told that both are one; the unblock is newer
			t.Errorf("%d calls", calls)
		}
	})
}

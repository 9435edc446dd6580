package worker_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
)

// TestHaltedNumbersLeaveLanes: more phone number IDs than there are lanes are refused, and another
// one is served all the same.
func TestHaltedNumbersLeaveLanes(t *testing.T) {
	t.Parallel()
	const sound = "7777777"
	lanes := redistest.Rounds(t, 200, 2000)
	halted := lanes + lanes/20
	ids := make([]string, halted)
	for i := range ids {
		ids[i] = fmt.Sprint(1_000_000 + i)
	}
	sc := simulator.Scenario{
		MaxPhoneNumbers: halted + 1, Journal: briefJournal,
		Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 190, PhoneNumberIDs: ids}},
	}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		b.cfg.Logger, b.cfg.Poll = nil, 10*time.Second
		w, err := worker.NewWithLanes(b.cfg, lanes)
		if err != nil {
			t.Fatal(err)
		}
		defer b.start(w)()
		<-time.After(time.Second)
		u, err := user.Parse("+16505550001")
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if i%(halted/2) == 0 { // a request as they come, with a task; the others are without, to be cheap
				if _, err := b.producer.Block(t.Context(), []string{u.Reveal()}, tasks.WithPhoneNumberID(id)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			l := ledger.New(b.rdb, id)
			v, err := l.NextVersion(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Mark(t.Context(), []ledger.Request{{User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: v}}); err != nil {
				t.Fatal(err)
			}
			if i%100 == 0 {
				<-time.After(time.Second)
			}
		}
		<-time.After(20 * time.Second)
		job, err := b.producer.Block(t.Context(), numbersFrom(0, 3), tasks.WithPhoneNumberID(sound))
		if err != nil {
			t.Fatal(err)
		}
		b.succeedWithin(job, 15*time.Second)
		if err := b.sim.SetScenario(simulator.Scenario{MaxPhoneNumbers: halted + 1, Journal: briefJournal}); err != nil {
			t.Fatal(err)
		}
		<-time.After(6 * time.Minute)
		if n := len(b.sim.Snapshot(ids[0])) + len(b.sim.Snapshot(ids[halted/2])); n != 2 {
			t.Errorf("%d of two users of phone number IDs that were refused are blocked in the end", n)
		}
	})
}

// TestTasksAtRestHoldNoSlot: tasks whose users wait for their next attempt keep no other task from
// being handled, with one slot.
func TestTasksAtRestHoldNoSlot(t *testing.T) {
	t.Parallel()
	const other = "106540352242923"
	sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFailUser, PhoneNumberIDs: []string{phoneNumberID}}}}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		b.cfg.Logger, b.cfg.Concurrency = nil, 1
		stop := b.run()
		defer stop()
		for _, n := range numbersFrom(0, 60) {
			b.enqueue(ledger.Block, n)
		}
		<-time.After(2 * time.Minute)
		job, err := b.producer.Block(t.Context(), numbersFrom(0, 1), tasks.WithPhoneNumberID(other), tasks.WithDelay(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		b.succeedWithin(job, 20*time.Second)
	})
}

// TestWorkerWithoutTokenLeavesUsers: a worker that has no token for a phone number ID dead-letters
// no user that another worker can serve.
func TestWorkerWithoutTokenLeavesUsers(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		b.cfg.Logger = nil
		without := b.cfg
		without.Resolve = func(string) (worker.PhoneNumber, bool) { return worker.PhoneNumber{}, false }
		w, err := worker.New(without)
		if err != nil {
			t.Fatal(err)
		}
		defer b.start(w)()
		defer b.run()()
		<-time.After(time.Second)
		for i := range 20 {
			b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(10*i, 10)...), 10*time.Second)
			<-time.After(5 * time.Second)
		}
		if n := b.deadLetters(); n > 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestStopWhileRedisHangs: a Redis that takes connections and does not answer does not keep a worker
// beyond its shutdown timeout and 15 seconds.
func TestStopWhileRedisHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		var hangs atomic.Bool
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:6379", PoolSize: 4000, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				c, err := b.mini.Dial()
				return hanging{c, &hangs}, err
			},
		})
		defer func() { _ = rdb.Close() }()
		b.cfg.Redis, b.cfg.Logger = rdb, nil
		stop := b.run()
		b.enqueue(ledger.Block, numbersFrom(0, 3)...)
		<-time.After(5 * time.Second)
		hangs.Store(true)
		<-time.After(5 * time.Second)
		start := time.Now()
		stop()
		if took := time.Since(start); took > 25*time.Second+15*time.Second {
			t.Errorf("it took %v", took)
		} else {
			t.Logf("it took %v", took)
		}
		hangs.Store(false)
		<-time.After(2 * time.Minute) // what Run left behind ends
	})
}

// hanging is a connection over which no reply comes while its Redis hangs.
type hanging struct {
	net.Conn
	hangs *atomic.Bool
}

func (c hanging) Write(p []byte) (int, error) {
	if c.hangs.Load() {
		return len(p), nil // as to a process that is stopped
	}
	return c.Conn.Write(p)
}

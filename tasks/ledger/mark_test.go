package ledger_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
)

func TestWakeWhenAUserBeginsToWait(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		sub := f.rdb.Subscribe(t.Context(), ledger.WakeChannel)
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := f.version()
		f.mark(ledger.Block, ledger.Bulk, v, num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, v, num(t, 1), num(t, 2)) // a user waits already
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 3))
		for range 2 {
			m, err := sub.ReceiveTimeout(t.Context(), 5*time.Second)
			if msg, ok := m.(*redis.Message); !ok || msg.Payload != phoneNumberID {
				t.Fatalf("poke: %v, %v", m, err)
			}
		}
		if m, err := sub.ReceiveTimeout(t.Context(), 50*time.Millisecond); err == nil {
			t.Errorf("a poke too many: %v", m)
		}
	})
}

func TestSegmentsOfOneMarkSeeEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v1, v2 := num(t, 1), f.version(), f.version()
		states, err := f.Mark(t.Context(), []ledger.Request{
			{User: alice, Operation: ledger.Unblock, Queue: ledger.Bulk, Version: v2},
			{User: alice, Operation: ledger.Block, Queue: ledger.Bulk, Version: v1},
		})
		if err != nil || states[0] != ledger.Waiting || states[1] != ledger.Superseded {
			t.Fatalf("%v, %v", states, err)
		}
		if c := f.claim(9, ""); c.Operation != ledger.Unblock || len(c.Users) != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// A user in back-off who is asked for anew waits in line at once, and an idle worker hears it.
func TestWakeWhenAUserLeavesBackOff(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Retry, Delay: time.Hour})
		sub := f.rdb.Subscribe(t.Context(), ledger.WakeChannel)
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		if m, err := sub.ReceiveTimeout(t.Context(), 5*time.Second); err != nil {
			t.Errorf("%v, %v", m, err)
		}
	})
}

// Two requests can share a version when one of them was made for later. The first one marked
// has it; the other must not be told the first one's end as its own.
func TestSharedVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		v := f.version()
		f.mark(ledger.Block, ledger.Interactive, v, num(t, 1))
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed})
		if got := f.mark(ledger.Unblock, ledger.Interactive, v, num(t, 1)); got != "n" {
			t.Errorf("the unblock: %q", got)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v, num(t, 1)); got != "s" {
			t.Errorf("the block: %q", got)
		}
	})
}

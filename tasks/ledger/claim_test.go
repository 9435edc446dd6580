package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
)

func TestClaimOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Reconcile, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 2), num(t, 3))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 4))
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 5))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 6))
		want := [][]string{{"0005", "0004"}, {"0006", "0002"}, {"0003", "0001"}, {}}
		for i, w := range want {
			if d := cmp.Diff(w, names(f.claim(2, ""))); d != "" {
				t.Errorf("claim %d: %s", i, d)
			}
		}
	})
}

func TestClaimOldest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 2))
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 3))
		c, err := f.Claim(t.Context(), ledger.ClaimOptions{ID: "oldest", Max: 2, Timeout: 10 * time.Minute, Oldest: true})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"0003", "0001"}, names(c)); d != "" {
			t.Error(d)
		}
	})
}

func TestClaimOnlyUnblocks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 2))
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ledger.Unblock))); d != "" {
			t.Error(d)
		}
		c := f.claim(9, ledger.Unblock)
		if len(c.Users) != 0 || c.Operation != "" || c.Backlog.Interactive != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestBothWaitingCollapse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 2))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
		c := f.claim(9, "")
		if d := cmp.Diff([]string{"0001"}, names(c)); d != "" || c.Operation != ledger.Unblock {
			t.Errorf("who asked first keeps the place in line: %v %s", c.Operation, d)
		}
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ""))); d != "" {
			t.Error(d)
		}
		if c := f.claim(9, ""); !(c.Backlog.Waiting() == 0 && len(c.Users) == 0) {
			t.Errorf("left over: %+v", c)
		}
	})
}

func TestAskingAgainInBulkKeepsTheInteractivePlace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1), num(t, 2))
		c := f.claim(1, "")
		if d := cmp.Diff([]string{"0001"}, names(c)); d != "" {
			t.Error(d)
		}
		if c.Backlog.Bulk != 1 || c.Backlog.Interactive != 0 {
			t.Errorf("%+v", c.Backlog)
		}
	})
}

func TestNewerRequestWhileInFlight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v1 := num(t, 1), f.version()
		f.mark(ledger.Block, ledger.Interactive, v1, alice)
		first := f.claim(1, "")
		v2 := f.version()
		if got := f.mark(ledger.Unblock, ledger.Interactive, v2, alice); got != "w" {
			t.Fatalf("marked: %q", got)
		}
		if c := f.claim(1, ""); len(c.Users) != 0 {
			t.Fatal("a user was claimed for a second call while in the first")
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v1, alice); got != "n" {
			t.Errorf("the older request: %q", got)
		}
		if s := f.settle(first, ledger.Settlement{Do: ledger.Succeed}); s[0].State != ledger.Superseded {
			t.Errorf("settled: %+v", s)
		}
		second := f.claim(1, "")
		if second.Operation != ledger.Unblock || len(second.Users) != 1 || second.Users[0].Version != v2 {
			t.Errorf("claimed: %+v", second)
		}
	})
}

// Asked for interactively while in flight, then in bulk: the interactive place is kept.
func TestAskingAgainInFlightKeepsTheQueue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		c := f.claim(1, "")
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.settle(c, ledger.Settlement{Do: ledger.Succeed})
		if b, err := f.Backlog(t.Context()); err != nil || b.Interactive != 1 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

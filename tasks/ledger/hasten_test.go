package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// TestHasten: blocks that wait in another queue go with the interactive ones, by their age; whatever else there is of the
// users stays as it is.
func TestHasten(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		inCall, unblocked, resting, done := num(t, 1), num(t, 2), num(t, 3), num(t, 4)
		for _, as := range []struct {
			u user.ID
			ledger.Settlement
		}{{done, ledger.Settlement{Do: ledger.Succeed}}, {resting, ledger.Settlement{Do: ledger.Retry, Delay: time.Minute}}} {
			f.mark(ledger.Block, ledger.Bulk, f.version(), as.u)
			f.settle(f.claim(1, ""), as.Settlement)
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), inCall)
		held := f.claim(1, "")
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), unblocked)

		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 10))
		old := f.version()
		f.mark(ledger.Block, ledger.Bulk, old, num(t, 11))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 12))
		f.mark(ledger.Block, ledger.Reconcile, f.version(), named(t, bsuid))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 13))
		f.join(person, bsuid)

		n, err := f.Hasten(t.Context(), []user.ID{inCall, unblocked, resting, done, num(t, 11), num(t, 11), num(t, 12), num(t, 99), named(t, bsuid)})
		if err != nil || n != 2 {
			t.Fatalf("%d were hastened, %v", n, err)
		}
		if e := f.entry(num(t, 11)); e.Queue != ledger.Interactive || e.Version != old || e.State != ledger.Waiting {
			t.Errorf("%+v", e)
		}
		for _, u := range []user.ID{inCall, resting} {
			if e := f.entry(u); e.Queue != ledger.Bulk {
				t.Errorf("%+v", e)
			}
		}
		b, err := f.Backlog(t.Context())
		if err != nil || b.Waiting() != 6 {
			t.Errorf("%d wait, %v", b.Waiting(), err)
		}
		var order []user.ID
		for range 5 {
			c := f.claim(1, ledger.Block)
			order = append(order, c.Users[0].User)
			f.settle(c, ledger.Settlement{Do: ledger.Succeed})
		}
		if want := []user.ID{num(t, 11), num(t, 12), named(t, person), num(t, 13), num(t, 10)}; !slices.Equal(order, want) {
			t.Errorf("they go in the order %v", order)
		}
		f.settle(held, ledger.Settlement{Do: ledger.Succeed})
		if n, err := f.Hasten(t.Context(), nil); n != 0 || err != nil {
			t.Error(n, err)
		}
	})
}

package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// TestDeadByCode: the dead count under their code, those who were discarded or asked for again nowhere.
func TestDeadByCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for i, code := range []int{131047, 0, 139101, 131047, 131047, 131047} {
			var failure *ledger.Failure
			if code != 0 {
				failure = &ledger.Failure{Code: code}
			}
			f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, i))
			f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: failure})
		}
		entries, err := f.Entries(t.Context(), []user.ID{num(t, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := f.Discard(t.Context(), num(t, 0), entries[0].Version); !ok || err != nil {
			t.Fatal(ok, err)
		}
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 3))
		codes, left, err := f.DeadByCode(t.Context(), 1000)
		want := []ledger.DeadCode{{Code: 131047, Users: 2}, {Users: 1}, {Code: 139101, Users: 1}}
		if diff := cmp.Diff(want, codes, cmpopts.IgnoreTypes(time.Time{})); diff != "" || left != 0 || err != nil {
			t.Errorf("%s, %d left, %v", diff, left, err)
		}
		if c := codes[0]; c.Oldest.IsZero() || c.Newest.Before(c.Oldest) {
			t.Errorf("%+v", c)
		}
		if codes, left, err = f.DeadByCode(t.Context(), 0); len(codes) != 0 || left != 6 || err != nil {
			t.Errorf("%v, %d left, %v", codes, left, err)
		}
	})
}

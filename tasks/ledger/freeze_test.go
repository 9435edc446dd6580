package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
)

func (f *fixture) hold(owner string, ttl time.Duration) bool {
	f.t.Helper()
	ok, err := f.Ledger.Freeze(f.t.Context(), owner, ttl)
	if err != nil {
		f.t.Fatal(err)
	}
	return ok
}

func (f *fixture) release(owner string) bool {
	f.t.Helper()
	ok, err := f.Ledger.Thaw(f.t.Context(), owner)
	if err != nil {
		f.t.Fatal(err)
	}
	return ok
}

func TestHold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		if !f.hold("one", time.Minute) || !f.hold("one", time.Minute) || f.hold("two", time.Minute) || f.release("two") {
			t.Fatal("a hold is its owner's alone")
		}
		if c := f.claim(9, ""); len(c.Users) != 0 || c.Backlog.Bulk != 1 {
			t.Errorf("claimed under a hold: %+v", c)
		}
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 2))
		if !f.release("one") {
			t.Error("not released")
		}
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ""))); d != "" {
			t.Error(d)
		}
		if !f.hold("two", 5*time.Second) {
			t.Error("a hold that was released stays")
		}
		ttl, err := f.rdb.PTTL(t.Context(), "wablock:{"+phoneNumberID+"}:hold").Result()
		if err != nil || ttl <= 0 || ttl > 5*time.Second {
			t.Errorf("the hold of a process that dies lasts %v, %v", ttl, err)
		}
	})
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		v := f.version()
		f.mark(ledger.Unblock, ledger.Bulk, v, num(t, 1), num(t, 2))
		c := f.claim(1, "")
		f.settle(c, ledger.Settlement{Do: ledger.Succeed})
		newer := f.version()
		ask := []ledger.Entry{
			{User: num(t, 1), Version: v}, {User: num(t, 2), Version: v}, // the second waits
			{User: num(t, 3), WaID: "521"}, {User: num(t, 1), Version: v - 1},
		}
		n, err := f.Ledger.Adopt(t.Context(), newer, ask)
		if err != nil || n != 2 {
			t.Fatalf("%d adopted, %v", n, err)
		}
		got := f.entries(1, 2, 3)
		for i, want := range []struct {
			op    ledger.Operation
			state ledger.State
			v     ledger.Version
			waID  string
		}{
			{ledger.Block, ledger.Succeeded, newer, ""},
			{ledger.Unblock, ledger.Waiting, v, ""},
			{ledger.Block, ledger.Succeeded, newer, "521"},
		} {
			e := got[i]
			if e.Operation != want.op || e.State != want.state || e.Version != want.v || e.WaID != want.waID {
				t.Errorf("user %d: %v %v version %d, wa_id %q; want %+v", i, e.Operation, e.State, e.Version, e.WaID, want)
			}
		}
		if _, err := f.Ledger.Adopt(t.Context(), v, ask[:1]); err == nil {
			t.Error("a version that is not newer was adopted")
		}
	})
}

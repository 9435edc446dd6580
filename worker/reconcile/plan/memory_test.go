package plan_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// TestComputeMemory goes through a million records around a full list. A worker has 256 MiB for
// all that it does.
func TestComputeMemory(t *testing.T) { //nolint:paralleltest // measures the heap of the process
	number := func(n int) user.ID {
		u, err := user.FromCanonical("+" + waIDOf(n))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	var desired []user.ID
	var actual []client.Entry
	for n := range plan.Capacity {
		desired = append(desired, number(n))
		actual = append(actual, client.Entry{WaID: waIDOf(n + 100)})
	}
	const wanted = 4 * plan.Capacity
	for name, tt := range map[string]struct {
		in   plan.Input
		most uint64
	}{
		"a desired list":  {plan.Input{Desired: desired}, 64 << 20},
		"from the ledger": {plan.Input{FromLedger: true, MaxDesired: wanted}, 128 << 20},
	} {
		before := heap()
		var used uint64
		records := func(yield func(ledger.Entry, error) bool) {
			for n := range 1_000_000 {
				e := ledger.Entry{
					User: number(n), Operation: ledger.Block, State: ledger.Succeeded, Queue: ledger.Bulk, Version: base - 1_000_000,
					WaID: waIDOf(n), SettledAt: base.Time().Add(-time.Hour),
				}
				switch {
				case n%4 == 0 || tt.in.FromLedger && n > wanted:
					e.Operation = ledger.Unblock
				case n%4 == 1:
					e.State = ledger.Dead
				case n%4 == 2:
					e.State, e.SettledAt = ledger.Waiting, time.Time{}
				}
				if !yield(e, nil) {
					return
				}
			}
			used = max(used, heap()-before)
		}
		tt.in.PhoneNumberID, tt.in.Mode, tt.in.Base, tt.in.Actual = phoneNumberID, plan.Enforce, base, actual
		p, err := plan.Compute(tt.in, records)
		if err != nil || p.Desired < plan.Capacity || p.LeftAlone == 0 {
			t.Fatal(name, p, err)
		}
		used = max(used, heap()-before)
		t.Logf("%s: %d users desired, %d MiB", name, p.Desired, used>>20)
		if used > tt.most {
			t.Errorf("%s: %d MiB for a million records, want at most %d", name, used>>20, tt.most>>20)
		}
	}
}

// TestComputeRefusesTooMany stops reading a ledger that wants more users blocked than fit into memory.
func TestComputeRefusesTooMany(t *testing.T) {
	t.Parallel()
	read := 0
	records := func(yield func(ledger.Entry, error) bool) {
		for n := range 1_000 {
			read++
			u, err := user.FromCanonical("+" + waIDOf(n/2)) // a scan may return a record twice
			if !yield(ledger.Entry{User: u, Operation: ledger.Block, State: ledger.Waiting, Version: base - 1}, err) {
				return
			}
		}
	}
	in := plan.Input{PhoneNumberID: phoneNumberID, Mode: plan.Enforce, Base: base, FromLedger: true, MaxDesired: 500}
	if p, err := plan.Compute(in, records); err != nil || p.Desired != 500 {
		t.Error(p, err)
	}
	in.MaxDesired, read = 100, 0
	if p, err := plan.Compute(in, records); !errors.Is(err, plan.ErrTooMany) || read > 202 {
		t.Error(p, err, read)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

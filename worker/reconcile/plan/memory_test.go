package plan_test

import (
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
	const most = 64 << 20
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
	before := heap()
	var used uint64
	records := func(yield func(ledger.Entry, error) bool) {
		for n := range 1_000_000 {
			e := ledger.Entry{
				User: number(n), Operation: ledger.Block, State: ledger.Succeeded, Queue: ledger.Bulk, Version: base - 1_000_000,
				WaID: waIDOf(n), SettledAt: base.Time().Add(-time.Hour),
			}
			switch n % 4 {
			case 0:
				e.Operation = ledger.Unblock
			case 1:
				e.State = ledger.Dead
			case 2:
				e.State, e.SettledAt = ledger.Waiting, time.Time{}
			}
			if !yield(e, nil) {
				return
			}
		}
		used = max(used, heap()-before)
	}
	p, err := plan.Compute(plan.Input{PhoneNumberID: phoneNumberID, Mode: plan.Enforce, Base: base, Desired: desired, Actual: actual}, records)
	if err != nil || p.Desired != plan.Capacity || p.LeftAlone == 0 {
		t.Fatal(p, err)
	}
	t.Logf("%d MiB", used>>20)
	if used > most {
		t.Errorf("%d MiB for a million records, want at most %d", used>>20, most>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

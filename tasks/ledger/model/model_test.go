package model_test

import (
	"testing"
)

// alternating requests show best who came last.
var alternating = [Versions]bool{true, false, true}

func TestProtocol(t *testing.T) {
	t.Parallel()
	for n := range 1 << Versions {
		var p Protocol
		for i := range p.Blocks {
			p.Blocks[i] = n>>i&1 == 1
		}
		for _, p.Unruly = range []bool{false, true} {
			states, broken := Check(p)
			for _, v := range broken {
				t.Errorf("blocks %v, unruly %v: %v", p.Blocks, p.Unruly, v)
			}
			if states < 3000 {
				t.Errorf("blocks %v, unruly %v: %d states are too few to be all", p.Blocks, p.Unruly, states)
			}
			t.Logf("blocks %v, unruly %v: %d states", p.Blocks, p.Unruly, states)
		}
	}
}

// TestTimedBlock: the block of version 1 may end by itself at any time, before or after a newer request.
func TestTimedBlock(t *testing.T) {
	t.Parallel()
	for _, last := range []bool{false, true} {
		for _, unruly := range []bool{false, true} {
			p := Protocol{Blocks: [Versions]bool{true, false, last}, Timed: true, Unruly: unruly}
			states, broken := Check(p)
			for _, v := range broken {
				t.Errorf("last %v, unruly %v: %v", last, unruly, v)
			}
			if states < 3000 {
				t.Errorf("last %v, unruly %v: %d states are too few to be all", last, unruly, states)
			}
		}
	}
}

// A check that rejects nothing proves nothing: each broken variant must break the promise
// that its rule is there to keep. The log (go test -v) shows how.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	keeps := map[Fault]Promise{
		SettleUnclaimed:  OneOperation,
		SettleOldVersion: LatestWins,
		SettleLoses:      Settles,
		MarkClearsClaim:  OneOperation,
		OldMarkWins:      Newest,
		ClaimInFlight:    OneOperation,
		SweepLoses:       Settles,
		EarlyExpiry:      OneOperation,
		LateCall:         OneOperation,
		UnsureIsSuccess:  LatestWins,
		LateIsForgotten:  LatestWins,
		LateBesideCall:   LatestWins,
		EndWins:          Newest,
		EndForgetsCalls:  LatestWins,
		TakenIsForgotten: OneOperation,
	}
	for _, fault := range Faulty() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			unruly := fault == LateIsForgotten || fault == LateBesideCall
			timed := fault == EndWins || fault == EndForgetsCalls
			_, broken := Check(Protocol{Blocks: alternating, Fault: fault, Unruly: unruly, Timed: timed})
			for _, v := range broken {
				if v.Promise == keeps[fault] {
					t.Log(v)
					return
				}
			}
			t.Errorf("not found: %s; only %v", keeps[fault], broken)
		})
	}
}

package model_test

import (
	"testing"

	"github.com/wablock/wablock/tasks/ledger/model"
)

// alternating requests show best who came last.
var alternating = [model.Versions]bool{true, false, true}

func TestProtocol(t *testing.T) {
	t.Parallel()
	for n := range 1 << model.Versions {
		var p model.Protocol
		for i := range p.Blocks {
			p.Blocks[i] = n>>i&1 == 1
		}
		states, broken := model.Check(p)
		for _, v := range broken {
			t.Errorf("blocks %v: %v", p.Blocks, v)
		}
		if states < 3000 {
			t.Errorf("blocks %v: %d states are too few to be all", p.Blocks, states)
		}
		t.Logf("blocks %v: %d states", p.Blocks, states)
	}
}

// A check that rejects nothing proves nothing: each broken variant must break the promise
// that its rule is there to keep. The log (go test -v) shows how.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	keeps := map[model.Fault]model.Promise{
		model.SettleUnclaimed:  model.OneCall,
		model.SettleOldVersion: model.LatestWins,
		model.SettleLoses:      model.Settles,
		model.MarkClearsClaim:  model.OneCall,
		model.OldMarkWins:      model.Newest,
		model.ClaimInFlight:    model.OneCall,
		model.SweepLoses:       model.Settles,
		model.EarlyExpiry:      model.OneCall,
		model.LateCall:         model.OneCall,
		model.UnsureIsSuccess:  model.LatestWins,
	}
	for _, fault := range model.Faulty() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			_, broken := model.Check(model.Protocol{Blocks: alternating, Fault: fault})
			for _, v := range broken {
				if v.Promise == keeps[fault] {
					t.Log(v)
					return
				}
			}
			t.Errorf("nobody finds that %s; only %v", keeps[fault], broken)
		})
	}
}

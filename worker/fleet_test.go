package worker_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// TestLanesShowWhyCallsDoNotGo: state, code, since when and the next trial, as other processes are shown them.
func TestLanesShowWhyCallsDoNotGo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		limit int
		want  fleet.Lane
	}{
		"running": {want: fleet.Lane{State: fleet.Running}},
		"halted":  {fault: simulator.Fault{Effect: simulator.EffectFail, Code: 190}, want: fleet.Lane{State: fleet.Halted, Code: 190, Reason: "access token expired or invalid"}},
		"outage":  {fault: simulator.Fault{Effect: simulator.EffectFail, Code: 1, Status: 500}, want: fleet.Lane{State: fleet.Outage, Code: 1, Reason: "unknown API error"}},
		"full":    {limit: 1, want: fleet.Lane{State: fleet.Full, Code: 139101, Reason: "the blocklist is full"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			sc := simulator.Scenario{Blocking: simulator.Blocking{Capacity: c.limit}}
			if c.fault.Effect != "" {
				sc.Faults = []simulator.Fault{c.fault}
			}
			w := newWorld(t, rdb, sc)
			started := time.Now()
			wk, err := worker.New(w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			w.start(wk)
			w.enqueue(ledger.Block, "+16505550001", "+16505550002", "+16505550003")
			var l fleet.Lane
			w.eventually("the lane is shown", func() bool {
				for _, l = range wk.Lanes() {
					return l.State == c.want.State && !l.LastCall.IsZero()
				}
				return false
			})
			if l.PhoneNumberID != phoneNumberID || l.Code != c.want.Code || l.Reason != c.want.Reason {
				t.Errorf("%+v, want %+v", l, c.want)
			}
			if stopped := l.State != fleet.Running; stopped == l.Since.Before(started) || stopped == l.NextTrial.Before(started) {
				t.Errorf("since %v, next trial %v", l.Since, l.NextTrial)
			}
		})
	}
}

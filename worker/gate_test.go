package worker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestEffectOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want effect
	}{
		"answered":      {nil, effectServed},
		"bad request":   {&client.APIError{Code: 100}, effectServed},
		"internal":      {&client.APIError{Code: 139103}, effectServed},
		"rate limit":    {&client.APIError{Code: 130429}, effectNone},
		"account limit": {&client.APIError{Code: 80007}, effectNone},
		"token":         {&client.APIError{Code: 190}, effectHalt},
		"permission":    {&client.APIError{Code: 200}, effectHalt},
		"unavailable":   {&client.APIError{Code: 2}, effectOutage},
		"no JSON":       {&client.ResponseError{What: "HTML", Meta: client.Meta{Status: 502}}, effectOutage},
		"network":       {&client.TransportError{}, effectOutage},
		"given up":      {context.Canceled, effectNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := effectOf(c.err, client.Classify(c.err)); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestGateOpensByProbe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		eff   effect
		times int
		state GateState
		first time.Duration
	}{
		"halt":   {effectHalt, 1, GateHalted, haltFirst},
		"outage": {effectOutage, outageAfter, GateOutage, outageFirst},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, now := newGate(), start
			for i := range c.times {
				if state, _, _ := g.status(now); state != GateOpen {
					t.Fatalf("closed after %d failures", i)
				}
				g.report(admission{}, c.eff, "why", now)
			}
			if state, reason, wait := g.status(now); state != c.state || reason != "why" || wait != c.first {
				t.Fatalf("%v %q %v", state, reason, wait)
			}
			if _, wait := g.admit(now); wait != c.first {
				t.Errorf("admitted after %v", wait)
			}

			now = now.Add(c.first)
			probe, wait := g.admit(now)
			if wait != 0 || !probe.probe || probe.max != 1 {
				t.Fatalf("probe: %+v, %v", probe, wait)
			}
			if _, wait := g.admit(now); wait <= 0 {
				t.Error("two probes at once")
			}
			g.report(probe, c.eff, "why", now)
			if _, wait := g.admit(now); wait != 2*c.first {
				t.Errorf("after a probe that failed: %v, want %v", wait, 2*c.first)
			}

			now = now.Add(2 * c.first)
			probe, _ = g.admit(now)
			if _, changed := g.report(probe, effectServed, "", now); !changed {
				t.Error("the opening was not told")
			}
			if a, wait := g.admit(now); wait != 0 || a != (admission{}) {
				t.Errorf("after a probe that got through: %+v, %v", a, wait)
			}
		})
	}
}

func TestGateUnusedProbe(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.report(admission{}, effectHalt, "why", start)
	now := start.Add(haltFirst)
	probe, _ := g.admit(now)
	g.unused(probe)
	if again, wait := g.admit(now); !again.probe || wait != 0 {
		t.Errorf("%+v, %v", again, wait)
	}
}

func TestGateReopensForANewToken(t *testing.T) {
	t.Parallel()
	g := newGate()
	g.report(admission{}, effectHalt, "why", start)
	g.reopen()
	if probe, wait := g.admit(start); !probe.probe || wait != 0 {
		t.Errorf("%+v, %v", probe, wait)
	}
}

func TestCallsInFlightTogetherCloseOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	for range 20 {
		g.report(admission{}, effectHalt, "why", start)
	}
	if _, _, wait := g.status(start); wait != haltFirst {
		t.Errorf("waits %v", wait)
	}
}

func TestAttemptsCountOnlyWhileTheAPIWorks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before []effect
		want   bool // uncounted
	}{
		"never served":              {nil, true},
		"served just before":        {[]effect{effectServed}, false},
		"second failure in a row":   {[]effect{effectServed, effectOutage}, true},
		"served between":            {[]effect{effectOutage, effectServed}, false},
		"a rate limit says nothing": {[]effect{effectServed, effectNone}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate()
			for _, e := range c.before {
				g.report(admission{}, e, "", start)
			}
			if got, _ := g.report(admission{}, effectOutage, "", start); got != c.want {
				t.Errorf("uncounted %v, want %v", got, c.want)
			}
		})
	}
}

func TestFullListHoldsBlocksBack(t *testing.T) {
	t.Parallel()
	g, now := newGate(), start
	if !g.listFull(admission{}, true, false, now) {
		t.Error("the change was not told")
	}
	if a, wait := g.admit(now); a.only != ledger.Unblock || wait != 0 {
		t.Errorf("while full: %+v, %v", a, wait)
	}
	now = now.Add(fullFirst)
	room, _ := g.admit(now)
	if !room.room || room.max != 1 || room.only != ledger.Block {
		t.Fatalf("probe for room: %+v", room)
	}
	if a, _ := g.admit(now); a.only != ledger.Unblock {
		t.Errorf("beside the probe: %+v", a)
	}
	g.listFull(room, true, false, now)
	if a, _ := g.admit(now.Add(fullFirst)); a.only != ledger.Unblock {
		t.Errorf("the second wait is not longer: %+v", a)
	}
	if !g.listFull(admission{}, false, true, now) {
		t.Error("room was not told")
	}
	if a, _ := g.admit(now); a != (admission{}) {
		t.Errorf("with room: %+v", a)
	}
}

func TestRoomProbeThatWasNotMadeComesAgain(t *testing.T) {
	t.Parallel()
	g, now := newGate(), start
	g.listFull(admission{}, true, false, now)
	now = now.Add(fullFirst)
	room, _ := g.admit(now)
	g.unused(room) // the limiter gave no leave
	if again, _ := g.admit(now); !again.room {
		t.Fatalf("%+v", again)
	}
	g.nobody(room, now) // nobody waits to be blocked
	if a, _ := g.admit(now); a.room || a.only != ledger.Unblock {
		t.Errorf("%+v", a)
	}
}

func TestRateLimitLeavesTheGateAlone(t *testing.T) {
	t.Parallel()
	g := newGate()
	for range 10 {
		if uncounted, changed := g.report(admission{}, effectOf(&client.APIError{Code: 130429}, client.Classify(&client.APIError{Code: 130429})), "", start); uncounted || changed {
			t.Fatal(uncounted, changed)
		}
	}
	if state, _, _ := g.status(start); state != GateOpen {
		t.Error(state)
	}
}

func TestTransportErrorsOfACancelledCallSayNothing(t *testing.T) {
	t.Parallel()
	if got := effectOf(errors.Join(errors.New("cut"), context.Canceled), client.Rule{Outage: true}); got != effectNone {
		t.Error(got)
	}
}

package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
)

// GateState says whether a lane may call.
type GateState string

// The states of a lane's gate.
const (
	GateOpen   GateState = "open"
	GateHalted GateState = "halted" // the API refuses the token or the account
	GateOutage GateState = "outage" // the API is down for every call
)

const (
	outageAfter   = 3 // whole calls that fail one after another
	outageFirst   = time.Second
	outageLongest = time.Minute
	haltFirst     = 5 * time.Second
	haltLongest   = 5 * time.Minute
	fullFirst     = time.Minute
	fullLongest   = 30 * time.Minute
)

// gate keeps a lane from calling while the API as a whole refuses or is down, and from
// blocking while the blocklist is full. One probe at a time finds out whether that is over.
// Its methods take the time, so that tests need none. Safe for concurrent use.
type gate struct {
	mu       sync.Mutex
	state    GateState
	reason   string // why it is not open: the rule's name
	closed   backoff
	probing  bool
	failures int  // whole calls that failed one after another
	served   bool // the call that ended before was dealt with by the API

	full      bool // the blocklist takes no more
	fullUntil backoff
	fullProbe bool
}

// backoff is a time to wait for, further away at each failure.
type backoff struct {
	until time.Time
	delay time.Duration
}

func (b *backoff) next(now time.Time, first, longest time.Duration) {
	b.delay = min(max(first, 2*b.delay), longest)
	b.until = now.Add(b.delay)
}

// admission says what a call may be.
type admission struct {
	max   int              // users, 0 for no bound of the gate's
	only  ledger.Operation // "" for both
	probe bool             // the one call that finds out whether the gate may open
	room  bool             // the one call that finds out whether the list has room
}

func newGate() *gate { return &gate{state: GateOpen} }

// admit returns what may be called now, or how long to wait before asking again.
func (g *gate) admit(now time.Time) (admission, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != GateOpen {
		if wait := g.closed.until.Sub(now); wait > 0 {
			return admission{}, wait
		}
		if g.probing {
			return admission{}, g.closed.delay // the probe's end wakes the lane before
		}
		g.probing = true
		return admission{max: 1, probe: true}, 0
	}
	if !g.full {
		return admission{}, 0
	}
	if now.Before(g.fullUntil.until) || g.fullProbe {
		return admission{only: ledger.Unblock}, 0
	}
	g.fullProbe = true
	return admission{max: 1, only: ledger.Block, room: true}, 0
}

// unused takes back an admission for which no call was made.
func (g *gate) unused(a admission) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.probe {
		g.probing = false
	}
	if a.room {
		g.fullProbe = false
	}
}

// nobody takes back an admission for which nobody waits. Room is then looked for later.
func (g *gate) nobody(a admission, now time.Time) {
	g.unused(a)
	if a.room {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.fullUntil.next(now, fullFirst, fullLongest)
	}
}

// effect is what a call says of the API as a whole.
type effect int

const (
	effectNone   effect = iota // nothing: a rate limit, a call given up
	effectServed               // the API dealt with it
	effectOutage               // it failed as it would if the API were down
	effectHalt                 // the token or the account is refused
)

func effectOf(err error, rule client.Rule) effect {
	if err == nil {
		return effectServed
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errNotChecked), errors.Is(err, errLate):
		return effectNone
	case rule.Remedy == client.Halt:
		return effectHalt
	case rule.Outage:
		return effectOutage
	case rule.Remedy == client.RateLimit, rule.Remedy == client.AccountRateLimit:
		return effectNone
	default:
		return effectServed
	}
}

// report tells what came of a call. It returns true when the call failed for an outage that
// must not count among its users' attempts: only a failure right after a call that was served
// speaks against the users rather than against the API.
func (g *gate) report(a admission, e effect, reason string, now time.Time) (uncounted, changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.state
	if a.probe {
		g.probing = false
	}
	switch e {
	case effectServed:
		g.state, g.reason, g.closed, g.failures, g.served = GateOpen, "", backoff{}, 0, true
	case effectHalt:
		g.state, g.reason, g.failures = GateHalted, reason, 0
		g.closeFor(a, now, haltFirst, haltLongest)
	case effectOutage:
		g.failures++
		uncounted = !g.served || g.failures > 1
		if g.failures >= outageAfter && g.state != GateHalted {
			g.state, g.reason = GateOutage, reason
			g.closeFor(a, now, outageFirst, outageLongest)
		}
	case effectNone:
	}
	return uncounted, g.state != before
}

// closeFor waits longer after each probe; calls that were in flight together count once.
func (g *gate) closeFor(a admission, now time.Time, first, longest time.Duration) {
	if a.probe || now.After(g.closed.until) {
		g.closed.next(now, first, longest)
	}
}

// reopen lets the lane try at once, for a token that was rotated.
func (g *gate) reopen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed.until = time.Time{}
}

// listFull tells what a call said of the blocklist: full, or that it took or gave up somebody.
func (g *gate) listFull(a admission, full, moved bool, now time.Time) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.full
	if a.room {
		g.fullProbe = false
	}
	switch {
	case full:
		if a.room || now.After(g.fullUntil.until) {
			g.fullUntil.next(now, fullFirst, fullLongest)
		}
		g.full = true
	case moved:
		g.full, g.fullUntil = false, backoff{}
	}
	return g.full != before
}

// status returns the state, its reason, and how long it will last at the least.
func (g *gate) status(now time.Time) (GateState, string, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == GateOpen {
		return GateOpen, "", 0
	}
	return g.state, g.reason, max(0, g.closed.until.Sub(now))
}

// isFull reports whether blocks are held back because the blocklist is full.
func (g *gate) isFull() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full
}

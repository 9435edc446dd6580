package verdict

import (
	"slices"
	"sync"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// State is the state of a lane, as users see it.
type State string

// The states of a lane.
const (
	Running State = "running"
	Halted  State = "halted" // the API refuses token, account or settings
	Outage  State = "outage" // whole calls fail one after another
	Full    State = "full"   // the blocklist is full: blocks wait, unblocks go
)

// Status is a lane's state, the reason for it and what to do about it, and how long it lasts at
// least; Wait is 0 when it is running.
type Status struct {
	State        State
	Reason, Help string
	Code         int // of the API, 0 for none
	Wait         time.Duration
	Since        time.Time // zero when it is running
}

const (
	outageAfter   = 3 // whole calls that fail one after another
	outageFirst   = time.Second
	outageLongest = time.Minute
	trialLongest  = 10 * time.Second // between trials, where a list call is served
	trialOfFault  = 2 * time.Second  // the same, where the users may be at fault, and others stand behind them
	haltFirst     = 5 * time.Second
	haltLongest   = 5 * time.Minute
	maxStrikes    = 2000 // users whose strikes are remembered
)

// Breaker is the circuit breaker of one lane. Closed, calls go. Open, none go but a list call when it is due; one that is
// served makes the breaker half-open. Half-open, one call goes with one user: if it is served the breaker closes, otherwise
// it opens again with a longer backoff. A call that was in flight and is served closes it from any state.
//
// It also keeps blocks back while the blocklist is full. Its methods take the time. Safe for
// concurrent use.
type Breaker struct {
	mu      sync.Mutex
	state   circuit
	cause   State  // Halted or Outage, unless closed
	reason  string // the rule's name
	help    string
	code    int
	since   time.Time // of the cause
	retry   backoff
	probing bool
	noFresh bool // a trial for a fresh user found none

	failures   int       // calls that failed one after another
	limited    limits    // since a call was served
	served     uint64    // calls
	servedAt   time.Time // the last of them
	lastServed bool      // the call that ended last was served
	culprit    user.ID   // the one user of the calls that failed since a call was served
	atFault    []user.ID // those that failed since then by a fault that may be their own, few
	several    bool      // of the users at fault since then there are several, and more than few by faults of their own
	strikes    map[user.ID]strike

	room room
}

// limits are calls that were limited one after another.
type limits struct {
	calls   int
	of      user.ID // the one user of all of them
	several bool    // or they were of several users
	listed  bool    // a list call was served since the first of them
}

type circuit int

const (
	closed circuit = iota
	open
	halfOpen
)

// strike counts how often a user was limited, or refused for good alone, with calls served in between.
type strike struct {
	n  int
	at uint64 // Breaker.served when it was limited last
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

// Probe is the kind of a call that an open breaker lets through.
type Probe int

const (
	// NoProbe is an ordinary call.
	NoProbe Probe = iota
	// ListProbe is a list call, which depends on no user.
	ListProbe
	// TrialProbe is a call with one user.
	TrialProbe
)

// Admission bounds a call.
type Admission struct {
	Max   int              // users, 0 for no bound of the breaker's
	Only  ledger.Operation // "" for both
	Probe Probe
	Fresh bool // users of which no attempt is used up
	Room  bool // blocks although the list was full

	places int // of those observed, that the admission holds
}

// Trial reports whether the admission is for a full list of which no place was seen to be free.
func (a Admission) Trial() bool { return a.Room && a.places == 0 }

// Evidence is the history that a failure is read with.
type Evidence struct {
	// Served reports that the call that ended last was served, EverServed that one was.
	Served, EverServed bool
	// Alone reports that only this user's calls have failed since a call was served.
	Alone bool
	// AtFault counts the users, those of the call among them, that failed since a call was served by faults that may be
	// their own, as far as there are few. Several reports that there were more, or several that failed otherwise.
	AtFault int
	Several bool
	// AtFaultBefore reports that the one user of the call is one of them.
	AtFaultBefore bool
	// Failures and Limited count the calls that failed, or were limited, one after another.
	Failures, Limited int
	// OnlyThisUserLimited reports that only this user's calls were limited since a call was served, and that a list
	// call was served in between.
	OnlyThisUserLimited bool
	// Strikes counts, for users of the call that were limited before, by any worker, or refused for good alone by this one,
	// how often that happened with calls served in between.
	Strikes map[user.ID]int
	// WasFull reports that this worker found the list full before: blocks that are refused for that wait. FullDelay is the time
	// between trials.
	WasFull   bool
	FullDelay time.Duration
}

// few reports whether no more than so many users are at fault.
func (e Evidence) few(n int) bool { return !e.Several && e.AtFault <= n }

func (e Evidence) strikes(u user.ID) int { return e.Strikes[u] }

// known reports whether a user was limited before.
func (e Evidence) known(u user.ID) bool { _, ok := e.Strikes[u]; return ok }

// Admit returns what may be called now, or how long to wait before asking again. Each admission is
// reported or released, once.
func (b *Breaker) Admit(now time.Time) (Admission, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == closed {
		return b.room.admit(now), 0
	}
	if b.probing {
		return Admission{}, max(b.retry.delay, outageFirst) // its end wakes the lane before
	}
	if wait := b.retry.until.Sub(now); b.state == open && wait > 0 {
		return Admission{}, wait
	}
	b.probing = true
	if b.state == open {
		return Admission{Probe: ListProbe}, 0
	}
	a := b.room.admit(now)
	b.room.release(a, 0) // this trial is not one for room
	return Admission{Max: 1, Probe: TrialProbe, Fresh: !b.noFresh, Only: onlyUnblocks(a)}, 0
}

func onlyUnblocks(a Admission) ledger.Operation {
	if a.Only == ledger.Unblock {
		return ledger.Unblock
	}
	return ""
}

// Release takes back an admission for which no call was made.
func (b *Breaker) Release(a Admission) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.Probe != NoProbe {
		b.probing, b.noFresh = false, a.Fresh
	}
	b.room.release(a, 0)
}

// TriedElsewhere takes back an admission to a trial, since another worker makes one.
func (b *Breaker) TriedElsewhere(a Admission, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room.release(a, 0)
	b.room.refusedAt = now
}

// Evidence returns what is known for the reading of the answer of a call with these users. Probe reports
// that the limiter let it go alone, to find out whether a pause is over.
func (b *Breaker) Evidence(users []ledger.Claimed, probe bool) Evidence {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := Evidence{
		Served: b.lastServed, EverServed: b.served > 0, Failures: b.failures, Limited: b.limited.calls,
		Alone:               len(users) == 1 && !b.several && (b.culprit.IsZero() || b.culprit == users[0].User),
		OnlyThisUserLimited: len(users) == 1 && b.limited.listed && !b.limited.several && b.limited.of == users[0].User,
		AtFault:             len(b.atFaultWith(users)), Several: b.several,
		AtFaultBefore: len(users) == 1 && slices.ContainsFunc(b.atFault, func(u user.ID) bool { return u == users[0].User }),
		WasFull:       b.room.wasFull, FullDelay: b.room.trial.delay,
	}
	for _, u := range users {
		s, known := b.strikes[u.User]
		if !known && u.Limited == 0 {
			continue
		}
		if known && b.served > s.at { // also those of the call at hand, which others' users get served by
			s.n++
		}
		if b.servedSince(u, probe) {
			s.n = max(s.n, 1)
		}
		if e.Strikes == nil {
			e.Strikes = map[user.ID]int{}
		}
		e.Strikes[u.User] = s.n
	}
	return e
}

// servedSince reports whether a call was served since one limited the user, whichever worker made them: this one made
// one, or the API stated a pause then and calls go again, which they do once one was served.
func (b *Breaker) servedSince(u ledger.Claimed, probe bool) bool {
	return u.Limited > 0 && (b.servedAt.UnixMilli() > u.Limited || u.Paused > 0 && !probe)
}

// Report takes in what came of an admitted call. It reports whether the lane's state changed.
func (b *Breaker) Report(a Admission, op ledger.Operation, users []ledger.Claimed, v Verdict, now time.Time) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.status(now).State
	b.strike(users, v)
	b.room.report(a, op, len(users), v, now)
	if a.Probe != NoProbe {
		b.probing, b.noFresh = false, false
	}
	switch {
	case v.Sign == SignServed && a.Probe == ListProbe:
		b.state = halfOpen
	case v.Sign == SignServed:
		b.state, b.cause, b.reason, b.help, b.code, b.since, b.retry = closed, "", "", "", 0, time.Time{}, backoff{}
		b.failures, b.limited, b.lastServed, b.culprit, b.atFault, b.several = 0, limits{}, true, user.ID{}, nil, false
		b.served++
		b.servedAt = now
	case v.Sign == SignHalted:
		b.lastServed = false
		b.trip(a, Halted, v, now, haltFirst, haltLongest)
	case v.Sign == SignFailed:
		b.failed(a, users, v, now)
	case a.Probe != NoProbe: // it shows nothing
		b.trip(a, b.cause, Verdict{Reason: b.reason, Help: b.help, Code: b.code}, now, outageFirst, outageLongest)
	}
	return b.status(now).State != before
}

func (b *Breaker) failed(a Admission, users []ledger.Claimed, v Verdict, now time.Time) {
	b.lastServed = false
	if v.MaxAtFault > 0 && !v.NamesAllFailed && v.Split == Halves {
		return // its parts will show whose failure it is
	}
	b.failures++
	switch {
	case len(users) == 0: // a list call
	case v.MaxAtFault > 0:
		if b.atFault = b.atFaultWith(users); len(b.atFault) > v.MaxAtFault {
			b.several = true
		}
	case len(users) > 1 || !b.culprit.IsZero() && b.culprit != users[0].User:
		b.several = true
	default:
		b.culprit = users[0].User
	}
	switch {
	case a.Probe == ListProbe:
		b.trip(a, b.cause, v, now, outageFirst, outageLongest)
	case a.Probe == TrialProbe && b.several && v.MaxAtFault > 0:
		b.trip(a, b.cause, v, now, outageFirst, trialOfFault)
	case a.Probe == TrialProbe && b.several:
		b.trip(a, b.cause, v, now, outageFirst, trialLongest)
	case a.Probe == TrialProbe:
		b.trip(a, b.cause, v, now, outageFirst, outageFirst) // others may be served
	case b.failures >= outageAfter && b.state == closed && (b.several || b.served == 0 && v.MaxAtFault == 0 || v.ListCallFailed):
		b.trip(a, v.Cause, v, now, outageFirst, outageLongest)
	}
}

// atFaultWith returns those that failed by a fault that may be their own, with users among them: one more than few at the
// most.
func (b *Breaker) atFaultWith(users []ledger.Claimed) []user.ID {
	all := slices.Clone(b.atFault)
	for _, u := range users {
		if len(all) <= fewTold && !slices.Contains(all, u.User) {
			all = append(all, u.User)
		}
	}
	return all
}

// trip opens the breaker, for longer after each probe; calls that were in flight together count
// once.
func (b *Breaker) trip(a Admission, cause State, v Verdict, now time.Time, first, longest time.Duration) {
	if b.state != closed && a.Probe == NoProbe && cause == b.cause {
		return
	}
	if b.state == closed || cause != b.cause {
		b.since = now
	}
	b.state, b.cause, b.reason, b.help, b.code = open, cause, v.Reason, v.Help, v.Code
	b.retry.next(now, first, longest)
}

// strike remembers users that were limited, or refused for good alone, until they are in a call that is served to them.
func (b *Breaker) strike(users []ledger.Claimed, v Verdict) {
	if v.LimitedWhole {
		b.limited.calls++
		switch {
		case len(users) != 1, !b.limited.of.IsZero() && b.limited.of != users[0].User:
			b.limited.several = true
		default:
			b.limited.of = users[0].User
		}
	}
	if v.Sign == SignServed && len(b.strikes) > 0 {
		for _, u := range users {
			if !slices.Contains(v.Struck, u.User) {
				delete(b.strikes, u.User)
			}
		}
	}
	for _, u := range v.Struck {
		s, known := b.strikes[u]
		switch {
		case known && b.served > s.at:
			s.n++
		case !known && len(b.strikes) >= maxStrikes:
			continue
		}
		s.at = b.served
		if b.strikes == nil {
			b.strikes = map[user.ID]strike{}
		}
		b.strikes[u] = s
	}
}

// ProbeNow makes the next probe due at once, as for a token that was rotated.
func (b *Breaker) ProbeNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.retry.until = time.Time{}
}

// LimitedAlone reports whether all calls that were limited since one was served were of one user: a
// list call is then the better probe of whether a pause is over.
func (b *Breaker) LimitedAlone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limited.calls > 0 && !b.limited.several
}

// ListServed takes in that a list call was served in place of the user who alone was limited.
func (b *Breaker) ListServed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limited.listed = true
}

// WantRoom takes in a request for blocks. One that is newer than all before makes one trial due while the list is full.
func (b *Breaker) WantRoom(version ledger.Version) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if version > b.room.newest {
		b.room.newest, b.room.wanted = version, b.room.full
	}
}

// Status returns the lane's state.
func (b *Breaker) Status(now time.Time) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status(now)
}

func (b *Breaker) status(now time.Time) Status {
	switch {
	case b.state != closed:
		return Status{b.cause, b.reason, b.help, b.code, max(0, b.retry.until.Sub(now)), b.since}
	case b.room.full && b.room.places == 0:
		return Status{State: Full, Reason: "the blocklist is full", Code: b.room.code, Wait: b.room.wait(now), Since: b.room.since}
	default:
		return Status{State: Running}
	}
}

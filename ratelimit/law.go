package ratelimit

import (
	"math"
	"time"
)

// The law, in the order in which a new limit meets it. Rates are in calls a second; a step is a moment at which growth is
// considered. The figures were tuned on the benchmark in learnbench: change one, and run it again.
const (
	// START. Nothing is known: one call goes alone, then two a second.
	startRate = 2.0

	// STEPS are taken when enough was sent to judge by, and twice a second at most; for a limit that may not exist, such as
	// an account's that was never met, more seldom.
	stepTime  = 500 * time.Millisecond
	stepCalls = 2.0
	unmetTime = 10 * time.Second
	// Growth needs a budget that is really used, to this share: an unused rate proves nothing.
	usedShare = 0.75

	// FAST SEARCH. While the API has never refused, the rate grows by this factor a step.
	searchGrowth = 1.5

	// CUT. The truth lies between what was served since the last refusal and what was going out at this one; the anchor,
	// the rate believed in, is put this share of the way (in logarithms) from the first to the second, and the
	// rate a little below the anchor. What was served counts a part of a call more: one was about to be.
	anchorShare = 0.35
	cutShare    = 0.97
	partCall    = 0.4
	// A rate that held until it was pushed was not far too high: this share of it is a floor for the new anchor.
	heldShare = 0.94
	// What is refused in a burst after a lull has no measure: the truth is taken to be this share of the rate at least.
	lullShare = 0.5
	// An anchor that moved by less than this share is settled.
	settledShare = 0.25

	// REGROWTH. Below this share of the anchor the rate recovers by this factor a step, then by this share of the anchor
	// a second.
	fastShare  = 0.9
	fastGrowth = 1.5
	slowGrowth = 0.01

	// HOLD. At the anchor the rate rests this long, because a push costs a refused call. At low rates one refusal is a
	// larger share of all calls: below holdRate the time grows with this power. While the anchor is not settled,
	// a part of the time will do; and a limit so low that it may be a passing trouble is tried at this interval.
	holdTime      = 7 * time.Second
	holdRate      = 2.5
	holdPower     = 1.3
	unsettledHold = 0.3
	longestHold   = 10 * time.Minute

	// PUSH. Above the anchor the rate grows slowly, then faster as long as nothing pushes back: by so much in the first
	// unit of time, twice as much in the next. A unit is some time or some calls, whichever is longer.
	pushGrowth = 0.02
	pushTime   = 1500 * time.Millisecond
	pushCalls  = 4.0
	pushBound  = 1.3 // factor of one step at most
	// A rate this many times the anchor shows that the anchor is history: search again.
	forgetAnchor = 3.0

	// PAUSE. For as long as the API states, at most a day; else for a second, doubled with each refusal in a row up to a
	// minute, with jitter in the upper half.
	firstPause = time.Second
	maxPause   = time.Minute
	maxStated  = 24 * time.Hour

	// LOCK-OUT. Where the first call after a pause is refused as well, refusals are dear: pauses then start where the last
	// one ended, up to so many doublings; the hold is so many times what the refusal cost, up to a bound; a push
	// takes so many times as long; the anchor keeps nearer to what was served; and of the time lost, no more than so
	// much counts as time in which unused calls were saved up.
	maxBackoff = 2
	dearHold   = 20.0
	maxHold    = 2 * time.Minute
	dearPush   = 4
	dearShare  = 0.15
	dearSaving = time.Second

	// IDLE DECAY. A rate that is not used halves its distance to half the anchor in this time: the limit may have changed.
	idleHalf  = 10 * time.Minute
	idleShare = 0.5

	// USAGE HEADERS lead where they are present: from usageSlow percent the rate falls, to usageFloor of itself at usageStop,
	// and from there all calls wait as long as the API says. They are forgotten after usageMemory.
	usageSlow   = 75
	usageStop   = 95
	usageFloor  = 0.1
	usageMemory = time.Minute
)

// Event is a report as the law takes it.
type Event struct {
	Observation
	Count  Counters // as they stand now
	Epoch  int64    // that the call was granted in
	Probe  bool     // it was the one call after a pause
	Trial  int      // it alone tried this size; 0 when it did not
	Due    bool     // growth is to be considered
	Jitter float64  // in [0, 1)
}

// Next is the law: the state after an event. The result depends on nothing but the arguments.
func Next(s State, e Event, now Instant, set Settings) State {
	l := law{State: s, now: now, set: set, count: e.Count}
	if e.UsagePercent > 0 {
		l.Usage, l.UsageAt = e.UsagePercent, now
	}
	switch {
	case e.Limited:
		l.refused(e)
	case e.TimedOut && e.Users > 1:
		l.Batch = l.Batch.timedOut(e.Users, e.Trial > 0, now)
	case e.Served:
		l.Batch = l.Batch.served(e.Users, set.MaxUsers)
		if e.Probe && e.Epoch == l.Epoch {
			l.resume()
		}
		if e.UsagePercent >= usageStop && e.RetryAfter > 0 {
			l.pauseFor(e.RetryAfter)
		}
	}
	if e.Due && !l.Probe {
		l.step()
	}
	l.Rate = clampRate(min(l.Rate, set.Rate))
	return l.rounded()
}

// law is a state at a moment, being changed.
type law struct {
	State
	now   Instant
	set   Settings
	count Counters
}

// refused handles a limit error. Calls that were in flight together fail together, so only the first of an epoch counts;
// the others can only prolong the pause.
func (l *law) refused(e Event) {
	l.LimitErrors++
	if e.Epoch < l.Epoch {
		if e.RetryAfter > 0 {
			l.pauseFor(e.RetryAfter)
		}
		return
	}
	switch {
	case l.blamesSize(e):
		l.Batch = l.Batch.refused(e.Users, l.now)
	case !e.Probe: // the rate was cut when the pause began that this probe was to end
		l.cut()
	}
	if !e.Probe {
		l.Since, l.ServedAtSince = l.now, l.count.Served
	}
	l.Epoch++
	pause := min(firstPause<<min(l.Backoff+l.Failures, 6), maxPause)
	l.Failures++
	if e.RetryAfter > 0 {
		l.pauseFor(e.RetryAfter)
		return
	}
	l.Probe, l.Stated = true, false
	l.PausedUntil = max(l.PausedUntil, l.now.Add(pause/2+time.Duration(e.Jitter*float64(pause/2))))
}

// blamesSize reports whether an error means too many users rather than too many calls: the call carried more than works, and
// went when pace could not be the reason (alone after a pause, or as a trial at a pace that holds); or calls of a size that
// did work are refused alone three times over, however long the pause.
func (l *law) blamesSize(e Event) bool {
	return e.Users > 1 && (e.Trial > 0 || e.Probe) && (e.Users > l.Batch.works() || l.Failures >= 3)
}

func (l *law) pauseFor(d time.Duration) {
	if until := l.now.Add(min(d, maxStated)); until > l.PausedUntil {
		l.PausedUntil, l.Stated = until, true
	}
	l.Probe = true
}

// cut finds the anchor anew. low is what the API has served since it last refused, with the pause: exactly its rate if
// it let the pause's unused calls be made later, less if it did not. high is what was being sent when it refused:
// exactly its rate if it saves nothing up, more if it does.
func (l *law) cut() {
	low := perSecond(float64(l.count.Served-l.ServedAtSince)+partCall, l.now.Sub(l.Since))
	if l.Anchor > 0 && l.Rate > l.Anchor {
		low = max(low, heldShare*l.Anchor)
	}
	high := max(min(l.Rate, l.goingOut()), MinRate)
	if !l.used() { // a burst after a lull: few calls in much time, which measure the lull alone
		l.fade(l.now.Sub(l.StepAt))
		low, high = lullShare*l.Rate, l.Rate
	}
	low = max(min(low, high), MinRate)

	share := anchorShare
	if l.dear() {
		share = dearShare
	}
	anchor := low * math.Pow(high/low, share)
	l.Settled = math.Abs(anchor-l.Anchor) <= settledShare*anchor
	l.Anchor = anchor
	l.Rate = max(cutShare*anchor, MinRate)
	l.Recent, l.Hold = 0, 0
}

// goingOut returns what was at most sent a second over the last step and since: a few calls too many rather than too few.
func (l *law) goingOut() float64 {
	calls, dt := float64(l.count.Served-l.ServedAtStep)+2, l.now.Sub(l.StepAt)
	if l.Recent > 0 {
		calls += l.Recent * l.every().Seconds()
		dt += l.every()
	}
	return perSecond(calls, dt)
}

// resume handles the first call served after a pause: all workers may go on, and what the epoch has cost sets the time
// until the next push.
func (l *law) resume() {
	if l.Failures > 1 {
		l.Backoff = min(l.Backoff+l.Failures-1, maxBackoff)
	} else {
		l.Backoff = max(l.Backoff-1, 0)
	}
	if l.Hold == 0 || l.Failures > 1 { // otherwise one call was too large, which says nothing about the pace
		l.Hold, l.Push = l.now.Add(l.rest()), 0
		// At a low rate a pause is refused again for want of one token, which is not a lock-out.
		if l.Failures > 1 && (l.Settled || l.Rate >= holdRate) || l.Settled && l.Backoff > 0 {
			l.Since = max(l.Since, l.now.Add(-dearSaving))
		}
	}
	l.Probe, l.Stated, l.Failures = false, false, 0
	l.mark()
}

// rest returns the time until the next push.
func (l *law) rest() time.Duration {
	hold := min(float64(holdTime)*math.Pow(max(holdRate/l.Rate, 1), holdPower), float64(longestHold))
	switch {
	case !l.Settled:
		hold *= unsettledHold
	case l.Failures > 1 || l.Backoff > 0:
		cost := float64(l.now.Sub(l.Since))
		hold = max(hold, min(dearHold*cost, float64(maxHold)))
	}
	return time.Duration(hold)
}

// dear reports whether refusals have lately cost more than a second.
func (l *law) dear() bool { return l.Backoff > 0 && l.Settled }

// step considers growth.
func (l *law) step() {
	dt := l.now.Sub(l.StepAt)
	switch {
	case dt < 0: // the clock has gone back
		l.mark()
		return
	case dt == 0:
		return
	}
	used := l.used()
	l.Recent = perSecond(float64(l.count.Served-l.ServedAtStep), dt)
	l.mark()
	switch {
	case !used:
		l.Push = 0
		l.Since, l.ServedAtSince = l.now, l.count.Served // what is served without need says nothing about the limit
		l.fade(dt)
	case l.bounded(l.set), l.usage(l.now) >= usageSlow: // another rate than the law's is in use: nothing is learnt about it
	case l.Anchor == 0:
		l.Rate *= searchGrowth
	case below(l.Rate, fastShare*l.Anchor):
		l.Rate = min(l.Rate*fastGrowth, fastShare*l.Anchor)
	case l.now < l.Hold:
		l.Rate = max(l.Rate, min(l.Anchor, l.Rate+slowGrowth*l.Anchor*dt.Seconds()))
	default:
		l.push(dt)
	}
}

// mark sets where the next step measures from.
func (l *law) mark() {
	l.StepAt, l.ServedAtStep, l.TakenAtStep = l.now, l.count.Served, l.count.Taken
}

// used reports whether the budget since the last step was really used.
func (l *law) used() bool {
	budget := min(l.Pace(l.now), l.set.Rate) * l.now.Sub(l.StepAt).Seconds()
	return float64(l.count.Taken-l.TakenAtStep)+1 >= usedShare*budget
}

// push drives the rate above the anchor: over the units from x to y, growth comes to the integral of pushGrowth * 2^x.
func (l *law) push(dt time.Duration) {
	unit := max(pushTime, callsTime(pushCalls, l.Rate))
	if l.dear() {
		unit *= dearPush
	}
	from := l.Push.Seconds() / unit.Seconds()
	l.Push += min(dt, 2*l.every())
	to := l.Push.Seconds() / unit.Seconds()
	growth := pushGrowth / math.Ln2 * (math.Exp2(to) - math.Exp2(from))
	l.Rate *= min(math.Exp(growth), pushBound)
	if l.Rate > forgetAnchor*l.Anchor {
		l.Anchor = 0
	}
}

// fade lets an unused rate fall.
func (l *law) fade(dt time.Duration) {
	if harmless := idleShare * l.Anchor; l.Anchor > 0 && l.Rate > harmless {
		l.Rate = harmless + (l.Rate-harmless)*math.Exp2(-dt.Seconds()/idleHalf.Seconds())
	}
}

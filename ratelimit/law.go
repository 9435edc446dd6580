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
	// Growth needs a budget that is really used, to this share: what nobody needs proves nothing.
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
	// and from there everybody waits as long as the API says. They are forgotten after usageMemory.
	usageSlow   = 75
	usageStop   = 95
	usageFloor  = 0.1
	usageMemory = time.Minute
)

// Event is what a report tells the law.
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
	if e.UsagePercent > 0 {
		s.Usage, s.UsageAt = e.UsagePercent, now
	}
	switch {
	case e.Limited:
		s = s.refused(e, now, set)
	case e.TimedOut && e.Users > 1:
		s.Users = s.Users.timedOut(e.Users, e.Trial > 0, now)
	case e.Served:
		s.Users = s.Users.served(e.Users, set.MaxUsers)
		if e.Probe && e.Epoch == s.Epoch {
			s = s.resumed(e.Count, now)
		}
		if e.UsagePercent >= usageStop && e.RetryAfter > 0 {
			s = s.pausedFor(e.RetryAfter, now)
		}
	}
	if e.Due && !s.Probe {
		s = s.step(e.Count, now, set)
	}
	s.Rate = clampRate(min(s.Rate, set.Rate))
	return s.rounded()
}

// refused handles a limit error. Calls that were in flight together fail together, so only the first of an epoch counts;
// the others can only prolong the pause.
func (s State) refused(e Event, now Instant, set Settings) State {
	s.LimitErrors++
	if e.Epoch < s.Epoch {
		if e.RetryAfter > 0 {
			s = s.pausedFor(e.RetryAfter, now)
		}
		return s
	}
	switch {
	case s.blamesSize(e):
		s.Users = s.Users.refused(e.Users, now)
	case !e.Probe: // the rate was cut when the pause began that this probe was to end
		s = s.cut(e.Count, now, set)
	}
	if !e.Probe {
		s.Since, s.ServedAtSince = now, e.Count.Served
	}
	s.Epoch++
	pause := min(firstPause<<min(s.Backoff+s.Failures, 6), maxPause)
	s.Failures++
	if e.RetryAfter > 0 {
		return s.pausedFor(e.RetryAfter, now)
	}
	s.Probe, s.Stated = true, false
	s.PausedUntil = max(s.PausedUntil, now.Add(pause/2+time.Duration(e.Jitter*float64(pause/2))))
	return s
}

func (s State) pausedFor(d time.Duration, now Instant) State {
	if until := now.Add(min(d, maxStated)); until > s.PausedUntil {
		s.PausedUntil, s.Stated = until, true
	}
	s.Probe = true
	return s
}

// cut finds the anchor anew. low is what the API has served since it last refused, with the pause: exactly its rate if
// it let the pause's unused calls be made later, less if it did not. high is what was being sent when it refused:
// exactly its rate if it saves nothing up, more if it does.
func (s State) cut(c Counters, now Instant, set Settings) State {
	low := perSecond(float64(c.Served-s.ServedAtSince)+partCall, now.Sub(s.Since))
	if s.Anchor > 0 && s.Rate > s.Anchor {
		low = max(low, heldShare*s.Anchor)
	}
	high := max(min(s.Rate, s.goingOut(c.Served, now)), MinRate)
	if !s.used(c, now, set) { // a burst after a lull: few calls in much time, which measure the lull alone
		s = s.idled(now.Sub(s.StepAt))
		low, high = lullShare*s.Rate, s.Rate
	}
	low = max(min(low, high), MinRate)

	share := anchorShare
	if s.dear() {
		share = dearShare
	}
	anchor := low * math.Pow(high/low, share)
	s.Settled = math.Abs(anchor-s.Anchor) <= settledShare*anchor
	s.Anchor = anchor
	s.Rate = max(cutShare*anchor, MinRate)
	s.Recent, s.Hold = 0, 0
	return s
}

// goingOut is what was at most sent a second over the last step and since: a few calls too many rather than too few.
func (s State) goingOut(served int64, now Instant) float64 {
	calls, dt := float64(served-s.ServedAtStep)+2, now.Sub(s.StepAt)
	if s.Recent > 0 {
		calls += s.Recent * s.every().Seconds()
		dt += s.every()
	}
	return perSecond(calls, dt)
}

// resumed handles the first call served after a pause: the fleet may go on, and what the epoch has cost sets the time
// until the next push.
func (s State) resumed(c Counters, now Instant) State {
	if s.Failures > 1 {
		s.Backoff = min(s.Backoff+s.Failures-1, maxBackoff)
	} else {
		s.Backoff = max(s.Backoff-1, 0)
	}
	if s.Hold == 0 || s.Failures > 1 { // otherwise one call was too large, which says nothing about the pace
		s.Hold, s.Push = now.Add(s.rest(now)), 0
		// At a low rate a pause is refused again for want of one token, which is no lock-out.
		if s.Failures > 1 && (s.Settled || s.Rate >= holdRate) || s.Settled && s.Backoff > 0 {
			s.Since = max(s.Since, now.Add(-dearSaving))
		}
	}
	s.Probe, s.Stated, s.Failures = false, false, 0
	return s.mark(c, now)
}

// rest is the time until the next push.
func (s State) rest(now Instant) time.Duration {
	hold := min(float64(holdTime)*math.Pow(max(holdRate/s.Rate, 1), holdPower), float64(longestHold))
	switch {
	case !s.Settled:
		hold *= unsettledHold
	case s.Failures > 1 || s.Backoff > 0:
		cost := float64(now.Sub(s.Since))
		hold = max(hold, min(dearHold*cost, float64(maxHold)))
	}
	return time.Duration(hold)
}

// dear reports whether refusals have lately cost more than a second.
func (s State) dear() bool { return s.Backoff > 0 && s.Settled }

// step considers growth.
func (s State) step(c Counters, now Instant, set Settings) State {
	dt := now.Sub(s.StepAt)
	switch {
	case dt < 0: // the clock has gone back
		return s.mark(c, now)
	case dt == 0:
		return s
	}
	used := s.used(c, now, set)
	s.Recent = perSecond(float64(c.Served-s.ServedAtStep), dt)
	s = s.mark(c, now)
	switch {
	case !used:
		s.Push = 0
		s.Since, s.ServedAtSince = now, c.Served // what is served without need says nothing about the limit
		return s.idled(dt)
	case s.bounded(set), s.usage(now) >= usageSlow:
		return s // not the law's rate is being used, so nothing is learnt about it
	case s.Anchor == 0:
		s.Rate *= searchGrowth
	case below(s.Rate, fastShare*s.Anchor):
		s.Rate = min(s.Rate*fastGrowth, fastShare*s.Anchor)
	case now < s.Hold:
		s.Rate = max(s.Rate, min(s.Anchor, s.Rate+slowGrowth*s.Anchor*dt.Seconds()))
	default:
		return s.pushed(dt)
	}
	return s
}

// used reports whether the budget since the last step was really used.
func (s State) used(c Counters, now Instant, set Settings) bool {
	budget := min(s.Pace(now), set.Rate) * now.Sub(s.StepAt).Seconds()
	return float64(c.Taken-s.TakenAtStep)+1 >= usedShare*budget
}

// pushed drives the rate above the anchor: over the units from x to y, growth comes to the integral of pushGrowth * 2^x.
func (s State) pushed(dt time.Duration) State {
	unit := max(pushTime, callsTime(pushCalls, s.Rate))
	if s.dear() {
		unit *= dearPush
	}
	from := s.Push.Seconds() / unit.Seconds()
	s.Push += min(dt, 2*s.every())
	to := s.Push.Seconds() / unit.Seconds()
	growth := pushGrowth / math.Ln2 * (math.Exp2(to) - math.Exp2(from))
	s.Rate *= min(math.Exp(growth), pushBound)
	if s.Rate > forgetAnchor*s.Anchor {
		s.Anchor = 0
	}
	return s
}

// idled lets an unused rate fade.
func (s State) idled(dt time.Duration) State {
	if harmless := idleShare * s.Anchor; s.Anchor > 0 && s.Rate > harmless {
		s.Rate = harmless + (s.Rate-harmless)*math.Exp2(-dt.Seconds()/idleHalf.Seconds())
	}
	return s
}

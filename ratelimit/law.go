package ratelimit

import (
	"math"
	"time"
)

// Event is a report as the law takes it.
type Event struct {
	Observation
	Count  Counters      // as they stand now
	Epoch  int64         // that the call was granted in
	Probe  bool          // it was the one call after a pause
	Trial  int           // it alone tried this size; 0 when it did not
	Due    bool          // growth is to be considered
	Took   time.Duration // from the grant to the report; 0 when not known
	Jitter float64       // in [0, 1)
}

// Next is the law: the state after an event. The result depends on nothing but the arguments.
func Next(s State, e Event, now Instant, set Settings) State {
	l := law{State: s.rebased(now), now: now, set: set, count: e.Count}
	if e.UsagePercent > 0 {
		l.Usage, l.UsageAt = e.UsagePercent, now
	}
	if e.Took > 0 && (e.Served || e.Limited) {
		l.measure(e.Took)
	}
	if l.windows() && !l.Probe {
		windowed{}.next(&l)
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

// regime answers refusals and lets the rate grow.
type regime interface {
	// refused answers the first refusal of a congestion epoch.
	refused(l *law, e Event)
	// grow raises the rate when the budget of the last step, which took dt and served so many calls, was used.
	grow(l *law, dt time.Duration, served float64)
}

// regime chooses. Where a refusal is followed by calls that pass, refusals are harmless and the limit is tracked; where the
// calls after it were refused as well, as in a lock-out, all calls stop and one probes, and so for some congestion epochs to
// come; where they were refused until a window ended, the next is waited for; and where that window did not follow the clock,
// its calls are spread.
func (l *law) regime() regime {
	switch {
	case l.windows():
		return windowed{}
	case l.Spread > 0:
		return spreading{}
	case l.Wary > 0 || l.Rate >= MaxRate:
		return stopping{}
	default:
		return tracking{}
	}
}

// measure smooths the round trip.
func (l *law) measure(took time.Duration) {
	if l.RoundTrip == 0 {
		l.RoundTrip = took
	}
	l.RoundTrip += time.Duration(roundTripShare * float64(min(took, maxPause)-l.RoundTrip))
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
	l.Epoch++
	l.regime().refused(l, e)
}

// blamesSize reports whether an error means too many users rather than too many calls: the call carried more than works, and
// went when pace could not be the reason (alone after a pause, or as a trial at a pace that holds); or calls of a size that
// did work are refused alone three times over, however long the pause.
func (l *law) blamesSize(e Event) bool {
	return e.Users > 1 && (e.Trial > 0 || e.Probe) && (e.Users > l.Batch.works() || l.Failures >= 3)
}

func (l *law) pauseFor(d time.Duration) {
	if until := l.now.Add(min(d, maxStated)); until > l.PausedUntil {
		l.PausedFrom, l.PausedUntil, l.Stated = l.now, until, true
	}
	l.Probe = true
}

// resume handles the first call served after a pause: all workers may go on.
func (l *law) resume() {
	if l.Epoch == 0 && l.RoundTrip > 0 { // the first call ever: as many calls as follow each other
		l.Rate = max(l.Rate, startCalls/l.RoundTrip.Seconds())
	}
	stopping{}.resumed(l)
	windowed{}.resumed(l)
	l.Probe, l.Stated, l.Failures = false, false, 0
	l.mark()
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
	if anchor < fallShare*l.Steady {
		l.Steady, l.FellAt = 0, l.now
	}
	l.Anchor = anchor
	l.Rate = max(cutShare*anchor, MinRate)
	l.Recent, l.RestUntil = 0, 0
}

// goingOut returns what was at most sent a second over the last step and since: a few calls too many rather than too few.
func (l *law) goingOut() float64 {
	calls, dt := float64(l.count.Served-l.ServedAtStep)+2, l.now.Sub(l.StepAt)
	if l.Recent > 0 {
		calls += l.Recent * l.every(l.set).Seconds()
		dt += l.every(l.set)
	}
	return perSecond(calls, dt)
}

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
	used, served := l.used(), float64(l.count.Served-l.ServedAtStep)
	l.Recent = perSecond(served, dt)
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
	default:
		l.regime().grow(l, dt, served)
	}
	if l.Anchor > 0 && l.Rate > forgetAnchor*l.Anchor && !l.windows() {
		l.Anchor, l.Spread = 0, 0
	}
}

// push adds dt to the time that the rate was pushed for, and returns the growth: over the units from x to y, the integral of
// growth * 2^x.
func (l *law) push(dt time.Duration, growth float64, unit time.Duration) float64 {
	from := l.Push.Seconds() / unit.Seconds()
	l.Push += min(dt, 2*l.every(l.set))
	return growth / math.Ln2 * (math.Exp2(l.Push.Seconds()/unit.Seconds()) - math.Exp2(from))
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

// fade lets an unused rate fall.
func (l *law) fade(dt time.Duration) {
	if harmless := idleShare * l.Anchor; l.Anchor > 0 && l.Rate > harmless {
		l.Rate = harmless + (l.Rate-harmless)*math.Exp2(-dt.Seconds()/idleHalf.Seconds())
	}
}

// dear reports whether refusals have lately cost more than a second.
func (l *law) dear() bool { return l.Backoff > 0 && l.Settled }

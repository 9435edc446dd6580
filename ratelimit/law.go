package ratelimit

import (
	"math"
	"time"
)

// The law, in the order in which a new limit meets it. Rates are in calls a second.
const (
	// START. Nothing is known: one call goes alone, then two a second.
	startRate = 2.0

	// FAST SEARCH. While the API has never refused, the rate doubles at every step.
	searchGrowth = 2.0

	// A step is taken when enough was sent to judge by, and not more often than some times a second.
	stepTime  = 500 * time.Millisecond
	stepCalls = 2.0
	// A limit that may not exist is looked at more seldom.
	unmetTime = 10 * time.Second

	// Growth needs a budget that is really used: at least this share of what might have been sent in the step. What
	// nobody needs proves nothing.
	usedShare = 0.75

	// CUT. A refusal ends the search. The truth lies between what was served since the last refusal, pause included, and
	// what was going out when the refusal came; the anchor is put at this way from the first to the second.
	anchorShare = 0.25
	// The rate restarts at this share of the anchor.
	cutShare = 0.97

	// REGROWTH. Below this share of the anchor the rate recovers fast, by this factor a step.
	fastShare  = 0.9
	fastGrowth = 1.5
	// Up to the anchor it takes this long per hundredth, and then it HOLDS: a push costs refused calls, so there is one
	// in so many calls, and not more often than every few seconds.
	holdTime  = 5 * time.Second
	holdCalls = 40.0
	// Where the first call after a pause was refused as well, refusals are dear (the limiter locks out), and the time
	// between pushes is this many times what the last one cost.
	holdPerLockout = 14.0

	// PUSH. Above the anchor the rate grows slowly, then faster as long as nothing pushes back: so much a second at first, twice
	// as much after each doubling time, up to a bound per step.
	pushGrowth   = 0.01
	pushDoubling = 2 * time.Second
	pushBound    = 1.3
	// A rate this many times the anchor shows that the anchor is history: search again.
	forgetAnchor = 3.0

	// PAUSE. What the API states, else this, doubled for each refusal in a row, with jitter in the upper half.
	firstPause = time.Second
	maxPause   = time.Minute
	// The API's word is kept up to a day; beyond that it is taken for a mistake.
	maxStated = 24 * time.Hour

	// IDLE DECAY. What is not used halves its distance to half the anchor in this time: a limit learnt long ago may have
	// changed.
	idleHalf  = 10 * time.Minute
	idleShare = 0.5

	// USAGE HEADERS lead where they are present: from this percentage the rate falls, down to a tenth …
	usageSlow  = 75
	usageFloor = 0.1
	// … and from this one everybody waits as long as the API says.
	usageStop = 95
	// A header is forgotten after this time.
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

// Next is the law: the state after an event.
func Next(s State, e Event, now Instant, set Settings) State {
	s = s.withUsage(e, now)
	switch {
	case e.Limited:
		s = s.refused(e, now, set)
	case e.Probe && e.Served && e.Epoch == s.Epoch:
		s = s.resumed(e, now)
	}
	if !e.Limited && e.Served {
		s.Users = s.Users.served(e.Users, now, set.MaxUsers)
	}
	if e.Due && !s.Probe && now >= s.PausedUntil {
		s = s.step(e, now, set)
	}
	s.Rate = min(clampRate(s.Rate), max(set.Rate, MinRate))
	return s.rounded()
}

// rounded brings a state to the precision in which it is shared, so that it makes no difference who computed it.
func (s State) rounded() State {
	for _, rate := range []*float64{&s.Rate, &s.Anchor, &s.Recent, &s.Pin, &s.Cap} {
		*rate = float64(MicroRate(*rate)) / micro
	}
	s.Push = s.Push.Truncate(time.Microsecond)
	return s
}

// refused handles a limit error. Calls that were in flight together fail together: only the first of an epoch counts.
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
	case !e.Probe:
		s = s.cut(e, now)
	}
	if !e.Probe {
		s.Since, s.ServedAtSince = now, e.Count.Served
	}
	s.Epoch++
	s.Probe = true
	if e.RetryAfter > 0 {
		return s.pausedFor(e.RetryAfter, now)
	}
	pause := min(firstPause<<min(s.Failures, 6), maxPause)
	s.Failures++
	s.PausedUntil = max(s.PausedUntil, now.Add(pause/2+time.Duration(e.Jitter*float64(pause/2))))
	s.Stated = false
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
// it let the pause's unused calls be made later, less if it did not. high is what was being sent, and served, when it
// refused: exactly its rate if it saves nothing up, more if it does.
func (s State) cut(e Event, now Instant) State {
	low := perSecond(e.Count.Served-s.ServedAtSince, now.Sub(s.Since))
	high := s.Rate
	if recent := s.recent(e.Count.Served, now); recent > 0 {
		high = min(high, recent)
	}
	if s.Anchor > 0 && s.Rate > s.Anchor {
		low = max(low, s.Anchor) // it held until it was pushed
	}
	low = min(low, high)
	s.Anchor = clampRate(low + anchorShare*(high-low))
	s.Rate = cutShare * s.Anchor
	s.Recent = 0
	return s
}

// resumed handles the first call served after a pause: the fleet may go on, and the time of the next push is set by what
// this epoch has cost.
func (s State) resumed(e Event, now Instant) State {
	hold := max(holdTime, time.Duration(holdCalls/s.Rate*float64(time.Second)))
	if s.Failures > 1 {
		hold = max(hold, time.Duration(holdPerLockout*float64(now.Sub(s.Since))))
	}
	s.Hold = now.Add(hold)
	s.Push = 0
	s.Probe, s.Stated, s.Failures = false, false, 0
	return s.mark(e.Count, now)
}

// step considers growth.
func (s State) step(e Event, now Instant, set Settings) State {
	dt := now.Sub(s.StepAt)
	if dt <= 0 {
		return s
	}
	served := perSecond(e.Count.Served-s.ServedAtStep, dt)
	used := float64(e.Count.Taken-s.TakenAtStep)+1 >= usedShare*min(s.Pace(now), set.Rate)*dt.Seconds()
	s = s.mark(e.Count, now)
	s.Recent = (s.Recent + served) / 2
	if !used {
		s.Push = 0
		s.Since, s.ServedAtSince = now, e.Count.Served // goodput is measured under load
		return s.idled(dt)
	}
	if s.Pin > 0 || s.usage(now) >= usageSlow {
		return s
	}
	return s.grown(now, dt)
}

func (s State) grown(now Instant, dt time.Duration) State {
	switch {
	case s.Anchor == 0:
		s.Rate *= searchGrowth
	case s.Rate < fastShare*s.Anchor:
		s.Rate = min(s.Rate*fastGrowth, fastShare*s.Anchor)
	case now < s.Hold:
		s.Rate = max(s.Rate, min(s.Anchor, s.Rate+0.01*s.Anchor*dt.Seconds()))
	default:
		dt = min(dt, s.every()*2)
		s.Push += dt
		perSecond := pushGrowth * math.Exp2(s.Push.Seconds()/pushDoubling.Seconds())
		s.Rate *= min(math.Exp(perSecond*dt.Seconds()), pushBound)
		if s.Rate > forgetAnchor*s.Anchor {
			s.Anchor = 0
		}
	}
	return s
}

// idled lets an unused rate fade toward one that is surely harmless.
func (s State) idled(dt time.Duration) State {
	harmless := startRate
	if s.Anchor > 0 {
		harmless = idleShare * s.Anchor
	}
	if s.Rate > harmless && s.Anchor > 0 {
		s.Rate = harmless + (s.Rate-harmless)*math.Exp2(-dt.Seconds()/idleHalf.Seconds())
	}
	return s
}

// every is the time between steps.
func (s State) every() time.Duration {
	if s.Rate >= MaxRate {
		return unmetTime
	}
	return max(stepTime, time.Duration(stepCalls/s.Rate*float64(time.Second)))
}

func (s State) mark(c Counters, now Instant) State {
	s.StepAt, s.ServedAtStep, s.TakenAtStep = now, c.Served, c.Taken
	return s
}

// recent is what was served a second over the last few steps and since.
func (s State) recent(served int64, now Instant) float64 {
	dt := now.Sub(s.StepAt)
	current := perSecond(served-s.ServedAtStep, dt)
	if s.Recent == 0 {
		return current
	}
	w := min(dt.Seconds()/s.every().Seconds(), 1)
	return (1-w)*s.Recent + w*(s.Recent+current)/2
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// withUsage takes a usage header into account. From usageStop on, the wait that the API states is kept although the call
// itself was served.
func (s State) withUsage(e Event, now Instant) State {
	if e.UsagePercent <= 0 {
		return s
	}
	s.Usage, s.UsageAt = e.UsagePercent, now
	if e.UsagePercent >= usageStop && e.RetryAfter > 0 && !e.Limited {
		s = s.pausedFor(e.RetryAfter, now)
	}
	return s
}

func usageShare(percent int) float64 {
	if percent <= usageSlow {
		return 1
	}
	over := min(float64(percent-usageSlow)/(usageStop-usageSlow), 1)
	return 1 - over*(1-usageFloor)
}

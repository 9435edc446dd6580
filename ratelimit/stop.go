package ratelimit

import (
	"math"
	"time"
)

// STOPPING. Where the calls after a refusal are refused as well, refusals are dear: all calls stop, one probes, and the
// rate rests below the limit found before it is driven up again.
const (
	// PAUSE. For as long as the API states, at most a day; else for a second, doubled with each refusal in a row up to a
	// minute, with jitter in the upper half; but for the time of two calls, if that is longer and no more than longestShort.
	// Where no pause was too short lately, the first is that time, and shortPause at least; when that was too short, the
	// second is doubled once more, since its probe is likely to have prolonged a lock-out. One of minutePause or longer ends
	// with a full minute. A pause that goes on and on ends when a window of five minutes does,
	// later a window of a quarter of an hour: quotas mostly follow the clock, and each probe before is refused.
	firstPause   = time.Second
	maxPause     = time.Minute
	shortPause   = 200 * time.Millisecond
	minutePause  = 30 * time.Second
	longestShort = 4 * time.Second
	shortCalls   = 2.0
	longAfter    = 2 * time.Minute
	longWindow   = 5 * time.Minute
	endlessAfter = 15 * time.Minute
	endless      = 15 * time.Minute

	// WARY. After a pause that was too short, all calls stop at the first refusal for so many congestion epochs; twice as
	// many each time that tracking was tried again in vain.
	waryEpochs  = 4
	maxWary     = 40
	maxDoubling = 6

	// FEW. Where so few calls were served before the first refusal, so many tokens at most came in the first wait, or in as
	// much of it as could be for want of a token.
	fewServed  = 2
	fewWaits   = 5.0
	fewLongest = 20 * time.Second

	// REST. At the anchor the rate rests this long, because a push costs a refused call. At low rates one refusal is a
	// larger share of all calls: below restRate the time grows with this power. While the anchor is not settled,
	// a part of the time will do; and a limit so low that it may be a passing trouble is tried at this interval.
	restTime      = 7 * time.Second
	restRate      = 2.5
	restPower     = 1.3
	unsettledRest = 0.3
	longestRest   = 10 * time.Minute
	// Until the rest ends the rate grows up to the anchor by this share of it a second.
	slowGrowth = 0.01

	// PUSH. Above the anchor the rate grows slowly, then faster as long as nothing pushes back: by so much in the first
	// unit of time, twice as much in the next. A unit is some time, some calls or some round trips, whichever is longer.
	pushGrowth     = 0.02
	pushTime       = 1500 * time.Millisecond
	pushCalls      = 4.0
	pushRoundTrips = 4

	// LOCK-OUT. Where the first call after a pause is refused as well, refusals are dear: pauses then start where the last
	// one ended, up to so many doublings, one less every so many epochs; the rest is so many times what the refusal cost,
	// up to a bound; a push takes so many times as long, and no step of it grows by more than dearBound, since all calls that
	// are in flight when the limit is met prolong the lock-out; the anchor keeps nearer to what was served; and of the time lost,
	// no more than so much counts as time in which unused calls were saved up.
	maxBackoff    = 2
	backoffEpochs = 4
	dearRest      = 20.0
	maxRest       = 10 * time.Minute
	dearPush      = 4
	dearBound     = 1.03
	dearShare     = 0.15
	dearSaving    = time.Second
)

// stopping is the regime in which refusals are dear.
type stopping struct{}

func (s stopping) refused(l *law, e Event) {
	switch {
	case l.blamesSize(e):
		l.Batch = l.Batch.refused(e.Users, l.now)
	case !e.Probe: // the rate was cut when the pause began that this probe was to end
		l.cut()
		if l.Settled {
			l.Steady = l.Anchor
		}
	}
	s.again(l, e)
}

// again stops for the rate that this epoch has been cut to.
func (s stopping) again(l *law, e Event) {
	switch {
	case e.Trial > 0:
		l.SpentAt = 0 // no window was spent
	case l.Failures == 0:
		l.SpentAt = l.now
	case l.SpentAt > 0 && l.now.Sub(l.PausedUntil) > longAfter: // no call was there to probe, or the clock was set forward
		l.SpentAt = l.SpentAt.Add(l.now.Sub(l.PausedUntil))
	}
	pause := s.pause(l)
	until := l.now.Add(pause/2 + time.Duration(e.Jitter*float64(pause/2)))
	if until.Sub(l.now) > minutePause {
		until = min(until, l.now.windowEnd(time.Minute))
	}
	switch waited := l.now.Sub(l.SpentAt); {
	case l.SpentAt == 0:
	case waited > endlessAfter:
		until = l.now.windowEnd(endless)
	case waited > longAfter:
		until = l.now.windowEnd(longWindow)
	}
	s.stop(l, e, until)
}

// stop lets no call go until a time, unless the API stated another; then one goes.
func (stopping) stop(l *law, e Event, until Instant) {
	if !e.Probe {
		l.Since, l.ServedAtSince = l.now, l.count.Served
	}
	l.RefusedAt = l.now
	l.Failures++
	if e.RetryAfter > 0 {
		l.pauseFor(e.RetryAfter)
		return
	}
	l.Probe, l.Stated, l.PausedFrom, l.PausedUntil = true, false, l.now, max(l.PausedUntil, until)
}

func (stopping) pause(l *law) time.Duration {
	short := min(max(shortPause, callsTime(shortCalls, l.Rate)), longestShort)
	if l.Wary == 0 && l.Failures == 0 {
		return short
	}
	doublings := l.Backoff + l.Failures
	if l.Wary == 0 && l.Failures == 1 && l.ServedAtSince > fewServed { // else it was for want of a token
		doublings++
	}
	return min(max(firstPause<<min(doublings, maxDoubling), short), maxPause)
}

// resumed takes the first call served after a pause: what the epoch has cost sets the time until the next push.
func (s stopping) resumed(l *law) {
	switch {
	case l.Failures > 1:
		if l.Wary == 0 {
			l.Strikes++
		}
		l.Wary = max(l.Wary, min(waryEpochs<<min(max(l.Strikes, 1)-1, maxDoubling), maxWary))
		l.Backoff = min(l.Backoff+l.Failures-1, maxBackoff)
	case l.Epoch%backoffEpochs == 0:
		l.Wary, l.Backoff = max(l.Wary-1, 0), max(l.Backoff-1, 0)
	default:
		l.Wary = max(l.Wary-1, 0)
	}
	if l.Failures > 1 && l.ServedAtSince <= fewServed && l.SpentAt > 0 && l.Batch.Refused == 0 { // the wait for a token is the only measure there is
		l.Rate = clampRate(min(l.Rate, fewWaits/min(l.now.Sub(l.SpentAt), fewLongest).Seconds()))
		l.Anchor = l.Rate
	}
	if l.RestUntil == 0 || l.Failures > 1 { // otherwise one call was too large, which says nothing about the pace
		l.RestUntil, l.Push = l.now.Add(s.rest(l)), 0
		// At a low rate a pause is refused again for want of one token, which is not a lock-out.
		if l.Failures > 1 && (l.Settled || l.Rate >= restRate) || l.Settled && l.Backoff > 0 {
			l.Since = max(l.Since, l.now.Add(-dearSaving))
		}
	}
}

// rest returns the time until the next push.
func (stopping) rest(l *law) time.Duration {
	rest := min(float64(restTime)*math.Pow(max(restRate/l.Rate, 1), restPower), float64(longestRest))
	switch {
	case !l.Settled:
		rest *= unsettledRest
	case l.Failures > 1 || l.Backoff > 0:
		cost := float64(l.now.Sub(l.Since))
		rest = max(rest, min(dearRest*cost, float64(maxRest)))
	}
	return time.Duration(rest)
}

// grow rests at the anchor, then drives the rate above it.
func (stopping) grow(l *law, dt time.Duration, _ float64) {
	if l.now < l.RestUntil {
		l.Rate = max(l.Rate, min(l.Anchor, l.Rate+slowGrowth*l.Anchor*dt.Seconds()))
		return
	}
	unit := max(pushTime, pushRoundTrips*l.RoundTrip, callsTime(pushCalls, l.Rate))
	if l.dear() {
		unit *= dearPush
	}
	bound := pushBound
	if l.Backoff > 0 {
		bound = dearBound
	}
	l.Rate *= min(math.Exp(l.push(dt, pushGrowth, unit)), bound)
}

package ratelimit

import (
	"math"
	"time"
)

// TRACKING. Where refusals are harmless the limit is tracked at a set share of refusals, by stochastic approximation
// (Robbins and Monro, 1951): each served call raises the rate a little, each refusal lowers it, and the two balance where
// that share is refused. So the limit is used as fully as its burst and the network's jitter allow, and no call waits for
// another. A bucket that saves up little refuses below its rate now and then; stopping would settle far below.
const (
	// The share of refused calls: one in trackInterval, but no less than trackLeast and no more than trackMost. A limit that
	// fell within the last trackFellFor is likely to come back, and is tried more often.
	trackInterval = 26 * time.Second
	trackLeast    = 0.0105
	trackMost     = 0.025
	trackFell     = 9 * time.Second
	trackFellMost = 0.07
	trackFellFor  = 10 * time.Minute

	// GAIN. A refusal lowers the rate by this share, and what is served between two raises it by as much. It starts at
	// trackGainFirst and shrinks with each refusal by trackGainDecay, to learn quickly first and finely later. At low
	// rates jitter is a smaller part of the time between two calls: below trackGainRate the gain falls with the root.
	trackGain      = 0.08
	trackGainFirst = 0.4
	trackGainEarly = 0.15 // after a refusal that came early
	trackGainDecay = 0.75
	trackGainRate  = 10
	trackGainLeast = 0.03

	// EARLY is a refusal after fewer calls than this share of those between two. Two of them show that the limit is another:
	// cut by goodput, and a little more, since what few calls measure is coarse.
	trackEarly    = 0.07
	trackEarlyCut = 0.9

	// PUSH. A refusal that is overdue lets the rate grow faster and faster, as in stopping. Where the push was refused below
	// trackPushed times the anchor the limit is what it was, but for this share of the way up (in logarithms).
	trackPushGrowth = 0.06
	trackPushCalls  = 2.0
	trackPushed     = 1.25
	trackPushShare  = 0.15

	// FIRST. The rate at the end of the search is this many times too high at least; calls that went beside the refused one
	// come back, and a token may, in the time of so many calls.
	trackFirstCut  = 2
	trackFirstWait = 4
)

// tracking is the regime in which refusals are harmless.
type tracking struct{}

func (t tracking) refused(l *law, e Event) {
	served := l.count.Served - l.ServedAtSince
	switch {
	case e.RetryAfter > 0 || e.Probe || e.Trial > 0: // not harmless, or not about the rate
		stopping{}.refused(l, e)
		return
	case served == 0 && l.Since == l.RefusedAt: // the calls after a refusal are refused as well
		stopping{}.again(l, e)
		return
	}
	share := t.share(l)
	switch early := float64(served) < trackEarly/share; {
	case l.Anchor == 0:
		t.searched(l)
	case l.Push > 0 && l.Rate < trackPushed*l.Anchor:
		l.Anchor *= math.Pow(l.Rate/l.Anchor, trackPushShare)
		t.answer(l, l.Anchor, share)
	case early && !l.Settled:
		l.cut()
		l.Rate *= trackEarlyCut
		l.Gain = max(l.Gain, trackGainEarly)
	case early:
		l.Gain = max(l.Gain, trackGainEarly)
		t.answer(l, l.Rate, share)
		l.Settled = false
	default:
		t.answer(l, l.Rate, share)
		l.Steady = l.Anchor
		l.Gain = max(l.Gain*trackGainDecay, trackGain)
	}
	l.Since, l.ServedAtSince, l.SpentAt, l.RefusedAt, l.Push = l.now, l.count.Served, l.now, l.now, 0
}

// searched ends the search: one call finds out whether others follow.
func (tracking) searched(l *law) {
	rate := l.Rate
	l.cut()
	l.Rate = max(min(l.Rate, rate/trackFirstCut), MinRate)
	l.Anchor, l.Gain = l.Rate, trackGainFirst
	l.PausedFrom, l.PausedUntil = l.now, l.now.Add(max(l.RoundTrip, callsTime(trackFirstWait, rate)))
	l.Probe, l.Stated, l.Failures = true, false, 1
}

// answer lowers the rate below the limit that a refusal showed.
func (t tracking) answer(l *law, limit, share float64) {
	l.Anchor, l.Settled, l.Recent, l.RestUntil = limit, true, 0, 0
	l.Rate = limit * math.Exp(-t.gain(l)*(1-share))
}

func (t tracking) grow(l *law, dt time.Duration, served float64) {
	share := t.share(l)
	growth := t.gain(l) * share * served
	if share*float64(l.count.Served-l.ServedAtSince) > 1 {
		if l.Push == 0 {
			l.Anchor = l.Rate
		}
		growth += l.push(dt, trackPushGrowth, max(pushTime, pushRoundTrips*l.RoundTrip, callsTime(trackPushCalls, l.Rate)))
	}
	l.Rate *= min(math.Exp(growth), pushBound)
}

// share returns the share of calls that may be refused.
func (tracking) share(l *law) float64 {
	if l.FellAt > 0 && l.now.Sub(l.FellAt) < trackFellFor {
		return min(max(1/(l.Rate*trackFell.Seconds()), trackLeast), trackFellMost)
	}
	return min(max(1/(l.Rate*trackInterval.Seconds()), trackLeast), trackMost)
}

func (tracking) gain(l *law) float64 {
	gain := min(max(l.Gain, trackGain), trackGainFirst)
	return max(gain*min(math.Sqrt(l.Rate/trackGainRate), 1), trackGainLeast)
}

package ratelimit

import (
	"math"
	"time"
)

// SPREADING. A quota for any minute, or for one that begins with a call, refuses for a long wait once it is spent, and the
// clock says nothing about its end. Spread evenly it is never spent: in a rolling window each call returns its place when the
// window has passed. So what such a window holds is spread over its length, and the rate changes slowly, since it takes a
// window until a change is felt.
const (
	// A congestion epoch shows one if its wait was so long, and longer than the calls before it went on, and the number of
	// these differs by no more than this share from the number before.
	spreadWait  = 15 * time.Second
	spreadAgree = 0.1
	// After a window the rate is pushed, by this growth in the next, twice as much in the one after.
	spreadPush = 0.02
	// A refusal lowers a rate that was not pushed by this share. Of a rate that was, it leaves that share of the way up
	// (in logarithms).
	spreadCut   = 0.02
	spreadShare = 0.4
)

// spreading is the regime in which a quota is spent in windows that do not follow the clock.
type spreading struct{}

// epoch is the congestion epoch that has ended, as windows see it.
type epoch struct {
	calls, before int64   // served before it, and before the one before
	began         Instant // when these calls began
}

func (spreading) refused(l *law, e Event) {
	switch {
	case e.Probe || e.Trial > 0: // the end of a window, or the size
		stopping{}.refused(l, e)
		return
	case l.Push == 0:
		l.Anchor = max(l.Anchor*(1-spreadCut), MinRate)
	case l.Rate > l.Anchor:
		l.Anchor *= math.Pow(l.Rate/l.Anchor, spreadShare)
	}
	l.Rate, l.Push, l.Recent = l.Anchor, 0, 0
	stopping{}.again(l, e)
}

func (spreading) grow(l *law, dt time.Duration, _ float64) {
	if l.now >= l.RestUntil {
		l.Rate *= min(math.Exp(l.push(dt, spreadPush, l.Spread)), pushBound)
	}
}

// resumed recognises such windows at the end of a congestion epoch, or lowers the rate to what passed, with the wait.
func (s spreading) resumed(l *law, last epoch) {
	length := s.length(l, last)
	switch {
	case length > 0 && s.shown(l, last):
		l.Spread, l.Settled = length, true
		l.Anchor = clampRate(float64(last.calls) / length.Seconds())
	case l.Spread == 0:
		return
	case float64(last.calls) > l.Anchor*l.Spread.Seconds()/2: // few calls say little
		passed := perSecond(float64(last.calls), l.now.Sub(last.began))
		l.Anchor = clampRate(min(l.Anchor, max(passed, l.Anchor/2)))
	}
	l.Rate, l.Push, l.RestUntil = l.Anchor, 0, l.now.Add(l.Spread)
	l.Wary, l.Backoff = 0, 0
}

// shown reports whether a congestion epoch shows a window.
func (spreading) shown(l *law, last epoch) bool {
	wait := l.now.Sub(l.SpentAt)
	return wait >= spreadWait && wait > l.SpentAt.Sub(last.began) && last.calls > 0 &&
		math.Abs(float64(last.calls-last.before)) <= spreadAgree*float64(last.calls)
}

// length returns a length in use that fits a congestion epoch: the call that passed came that long after its first call, and
// those refused did not. It is 0 if none fits.
func (spreading) length(l *law, last epoch) time.Duration {
	for _, used := range windowLengths {
		if l.RefusedAt.Sub(last.began)-l.RoundTrip < used && used <= l.now.Sub(last.began) {
			return used
		}
	}
	return 0
}

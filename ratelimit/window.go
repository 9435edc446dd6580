package ratelimit

import (
	"math"
	"time"
)

// WINDOWS. A quota for each minute or hour, once spent, refuses until the window ends, however long that takes. Where the
// ends of congestion epochs fit the clock, the next pause lasts until the window ends, with one call after it; and the
// rate is what the window holds, spread over it.
const (
	// The rate aims at so many times a window's calls: more than one, to notice when it holds more.
	windowOver = 1.02
	// So many times fewer calls than a window holds, between two refusals, do not end the wait.
	windowTail = 10
	// An epoch whose pauses lasted for less than this share of a window says nothing about it.
	windowShare = 0.25
	// Every so many epochs, in every wait for the end of a longer window than a minute, and in long waits where one refused
	// call in windowCheap is little, one call probes halfway. If it passes, or so many times the calls do, there are no such windows. What a window holds is believed
	// to fall by no more than a tenth at once: a window that is spent early costs nothing, one that is not spent does.
	windowCheck  = 32
	windowCheap  = 100
	windowExcess = 3
	windowFall   = 9 // tenths
	// After half a window, and after two minutes at the latest, the rate is pushed, faster with each quarter of a window and
	// with each minute: it costs no more than the calls beside the one that is refused at the end.
	windowRest       = 2 * time.Minute
	windowPush       = time.Minute
	windowPushGrowth = 0.2
)

// windowLengths are those that APIs use and probing would be dear for.
var windowLengths = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// windowed is the regime in which a quota is spent in windows that follow the clock.
type windowed struct{}

func (windowed) refused(l *law, e Event) {
	if e.Trial > 0 || l.Failures > 2 { // perhaps the size, or no window
		stopping{}.refused(l, e)
		return
	}
	if l.Failures == 0 {
		l.SpentAt = l.now
	}
	until := l.now.windowEnd(l.Window)
	switch {
	case l.now.number(l.Window) > l.SpentAt.number(l.Window): // the window has ended, and still a refusal
		until = l.now.Add(stopping{}.pause(l))
	case l.Failures > 0:
	case l.Window > time.Minute, l.Epoch%windowCheck == 0, l.Quota >= windowCheap && until.Sub(l.now) > l.Window/6:
		until = l.now.Add(until.Sub(l.now) / 2)
	}
	stopping{}.stop(l, e, until)
}

func (windowed) grow(l *law, dt time.Duration, _ float64) {
	if l.now >= l.RestUntil {
		l.Rate *= min(math.Exp(l.push(dt, windowPushGrowth, min(l.Window/4, windowPush))), pushBound)
	}
}

// resumed compares a congestion epoch that has ended with the clock.
func (w windowed) resumed(l *law) {
	if l.SpentAt == 0 { // a call was too large
		return
	}
	served := l.count.Served - 1                                        // without the call that passed
	if !l.windows() && windowTail*(served-l.ServedAtWindow) < l.Quota { // a few calls passed as the window ended
		return
	}
	last := epoch{calls: served - l.ServedAtWindow, before: l.Quota, began: l.WindowAt}
	l.Quota, l.ServedAtWindow, l.WindowAt = max(last.calls, windowFall*l.Quota/10), served, l.now
	switch found := w.find(l); {
	case l.windows() && !w.fits(l, l.Window):
		l.Window, l.WindowSeen = 0, 0
	case l.windows(), l.RefusedAt <= l.SpentAt: // one refusal alone fits every length
	case found == 0:
		l.Window, l.WindowSeen = 0, 0
	case found == l.Window:
		l.WindowSeen++
	default:
		l.Window, l.WindowSeen = found, 1
	}
	if l.windows() {
		w.begin(l)
		l.RestUntil, l.Push, l.Backoff, l.Spread = l.now.Add(min(l.Window/2, windowRest)), 0, 0, 0
		return
	}
	spreading{}.resumed(l, last)
}

// find returns the length that fits the congestion epoch, the one known already before a longer one; 0 when none does.
func (w windowed) find(l *law) (found time.Duration) {
	for _, length := range windowLengths {
		long := float64(l.now.Sub(l.SpentAt)) >= windowShare*float64(length)
		if long && w.fits(l, length) && (found == 0 || found != l.Window) {
			found = length
		}
	}
	return found
}

// fits reports whether no window began between an epoch's first refusal and its last, and one before the call that passed.
func (windowed) fits(l *law, w time.Duration) bool {
	return l.RefusedAt.number(w) == l.SpentAt.number(w) && l.now.number(w) > l.RefusedAt.number(w)
}

// next takes note that a window has begun, or that there are none.
func (w windowed) next(l *law) {
	switch calls := l.count.Served - l.ServedAtWindow; {
	case calls > windowExcess*max(l.Quota, 1):
		l.Window, l.WindowSeen = 0, 0
	case l.now.number(l.Window) > l.WindowAt.number(l.Window):
		l.ServedAtWindow, l.Quota = l.count.Served, max(l.Quota, calls)
		w.begin(l)
	}
}

// begin spreads a window's calls over the rest of it.
func (windowed) begin(l *law) {
	left := max(l.now.windowEnd(l.Window).Sub(l.now), l.Window/4)
	l.WindowAt = l.now
	l.Rate = clampRate(windowOver * float64(l.Quota) / left.Seconds())
	l.Anchor, l.Settled = l.Rate, true
}

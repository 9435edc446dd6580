package quota

import (
	"math"
	"time"
)

// FixedWindow counts within windows that start at whole multiples of their length on the
// clock: all of a window's budget may go in its first second, and comes back at once when the
// next one starts.
type FixedWindow struct {
	limit     int
	window    time.Duration
	perUser   bool
	start     time.Time // of the window that spent belongs to
	spent     int
	unlimited bool
}

// NewFixedWindow allows n calls in each window. A window of 0 or less limits nothing; an n of 0
// or less lets nothing through.
func NewFixedWindow(n int, window time.Duration) *FixedWindow {
	return &FixedWindow{limit: n, window: window, unlimited: window <= 0}
}

// NewUsersWindow is NewFixedWindow counting the users that calls carry instead of the calls. A
// call that would go beyond n is refused whole, and counts nothing.
func NewUsersWindow(n int, window time.Duration) *FixedWindow {
	w := NewFixedWindow(n, window)
	w.perUser = true
	return w
}

// Allow counts the call if the window has room for it.
func (w *FixedWindow) Allow(now time.Time, users int) bool {
	if w.unlimited {
		return true
	}
	w.turn(now)
	cost := 1
	if w.perUser {
		cost = max(users, 1)
	}
	if w.spent+cost > w.limit {
		return false
	}
	w.spent += cost
	return true
}

// SetRate changes the budget to what the rate (calls, or users, a second) comes to in one
// window, rounded, from now on; what the running window has spent stays spent.
func (w *FixedWindow) SetRate(now time.Time, rate float64) {
	w.turn(now)
	w.limit = int(min(math.Round(max(rate, 0)*w.window.Seconds()), math.MaxInt32))
}

// Usage is the share of the running window's budget that is spent.
func (w *FixedWindow) Usage(now time.Time) float64 {
	if w.unlimited {
		return 0
	}
	w.turn(now)
	if w.limit <= 0 {
		return 1
	}
	return min(float64(w.spent)/float64(w.limit), 1)
}

// Wait is the time until the next window if this one is spent.
func (w *FixedWindow) Wait(now time.Time) time.Duration {
	if w.unlimited {
		return 0
	}
	w.turn(now)
	switch {
	case w.limit <= 0:
		return math.MaxInt64
	case w.spent < w.limit:
		return 0
	}
	return w.start.Add(w.window).Sub(now)
}

func (w *FixedWindow) turn(now time.Time) {
	if w.unlimited {
		return
	}
	if start := now.Truncate(w.window); start.After(w.start) {
		w.start, w.spent = start, 0
	}
}

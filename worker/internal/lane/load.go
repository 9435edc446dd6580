package lane

import (
	"fmt"
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// load estimates how long users wait, from how many there are and how fast they are claimed. Safe
// for concurrent use.
type load struct {
	mu          sync.Mutex
	last        ledger.Backlog
	pausedUntil time.Time
	// window counts the users claimed since from; rate is that of the window before.
	from   time.Time
	window int
	rate   float64 // users a second
}

const loadWindow = 2 * time.Second

func (l *load) see(b ledger.Backlog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = b
}

func (l *load) backlog() ledger.Backlog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// claimed counts the users of a call that goes out.
func (l *load) claimed(users int, b ledger.Backlog, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.pausedUntil = b, time.Time{}
	l.turn(now)
	l.window += users
}

// turn begins a new window when the last is over. It requires mu held.
func (l *load) turn(now time.Time) {
	passed := now.Sub(l.from)
	if passed < loadWindow {
		return
	}
	l.rate = float64(l.window) / passed.Seconds()
	if passed > 10*loadWindow {
		l.rate = 0 // a lull is no measure of what can go
	}
	l.from, l.window = now, 0
}

// limited takes note that the limiter allows no call for a while.
func (l *load) limited(g ratelimit.Grant, now time.Time) {
	if g.Reason != ratelimit.Paused && g.Reason != ratelimit.Probing {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pausedUntil = now.Add(g.Wait)
}

// delay is about how long it takes until the users that wait in q and before it have gone.
func (l *load) delay(q ledger.Queue, now time.Time) (time.Duration, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(now)
	n := l.last.UpTo(q)
	var d time.Duration
	rate := max(l.rate, float64(l.window)/max(now.Sub(l.from).Seconds(), 0.5))
	if rate > 0 {
		d = time.Duration(float64(n) / rate * float64(time.Second))
	}
	if pause := l.pausedUntil.Sub(now); pause > 0 {
		return d + pause, "paused for the rate limit"
	}
	return d, fmt.Sprintf("%d users are in line", n)
}

package worker

import (
	"fmt"
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// load knows how much waits in a lane and how fast it goes, well enough to tell whether a
// task's users will end soon. Safe for concurrent use.
type load struct {
	mu          sync.Mutex
	last        ledger.Backlog
	pausedUntil time.Time
	// window counts the users claimed since from; rate is that of the window before.
	from   time.Time
	window int
	rate   float64 // users a second
}

func newLoad() *load { return &load{} }

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
		l.rate = 0 // a lull says nothing about what can go
	}
	l.from, l.window = now, 0
}

// limited takes note that the limiter gives no leave for a while.
func (l *load) limited(g ratelimit.Grant, now time.Time) {
	if g.Reason != ratelimit.Paused && g.Reason != ratelimit.Probing {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pausedUntil = now.Add(g.Wait)
}

// delay is about how long it takes until everybody that waits in q and before it has gone.
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

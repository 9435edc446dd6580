package lane

import (
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// load estimates how long users wait, from how many there are and how fast they are claimed, and shows the
// figures. Safe for concurrent use.
type load struct {
	mu          sync.Mutex
	last        ledger.Backlog
	pausedUntil time.Time
	// refusal is the limiter's last, until a call goes out.
	refusal      ratelimit.Reason
	refusedUntil time.Time
	learnt       ratelimit.Snapshot // zero while it is not known
	lastCall     time.Time
	lastServed   time.Time
	// busy counts the users claimed since busyFrom, without a lull; flow is that of the time before.
	busyFrom time.Time
	busy     int
	flow     float64 // users a second; 0 while it is not known
	// window counts the users claimed since from; rate is that of the window before.
	from   time.Time
	window int
	rate   float64 // users a second
}

const (
	loadWindow = 2 * time.Second
	flowWindow = 10 * time.Second // of work without a lull, after which it is a measure
)

func (l *load) see(b ledger.Backlog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = b
	l.lull(b)
}

// lull ends the measure of the flow when nothing waits. It requires mu held.
func (l *load) lull(b ledger.Backlog) {
	if b.Waiting() == 0 {
		l.busyFrom, l.busy, l.flow = time.Time{}, 0, 0
	}
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
	l.last, l.pausedUntil, l.refusal, l.refusedUntil = b, time.Time{}, ratelimit.NotLimited, time.Time{}
	l.turn(now)
	l.window += users
	if l.busyFrom.IsZero() {
		l.busyFrom = now
	} else {
		l.busy += users
	}
	if passed := now.Sub(l.busyFrom); passed >= flowWindow {
		l.flow, l.busyFrom, l.busy = float64(l.busy)/passed.Seconds(), now, 0
	}
	l.lull(b)
}

// called takes note of a call, or of a list call, that has ended.
func (l *load) called(served bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastCall = now
	if served {
		l.lastServed = now
	}
}

// learn takes note of what the limiter holds to be allowed.
func (l *load) learn(s ratelimit.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.learnt = s
}

// show fills in the figures of a lane.
func (l *load) show(o *fleet.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.LastCall, o.LastServed, o.UsersPerSecond = l.lastCall.UTC(), l.lastServed.UTC(), l.flow
	o.Pace, o.Pinned, o.Capped, o.UsersPerCall = l.learnt.Rate, l.learnt.Pinned, l.learnt.Capped, l.learnt.MaxUsers
	if l.refusal != ratelimit.NotLimited {
		o.Limit, o.LimitedUntil = l.refusal.String(), l.refusedUntil.UTC()
	}
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

// noteRefusal takes note that the limiter allows no call for a while.
func (l *load) noteRefusal(g ratelimit.Grant, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusal, l.refusedUntil = g.Reason, now.Add(g.Wait)
	if g.Reason == ratelimit.Paused || g.Reason == ratelimit.Probing {
		l.pausedUntil = now.Add(g.Wait)
	}
}

// delay is about how long it takes until the users that wait in q and before it have gone.
func (l *load) delay(q ledger.Queue, now time.Time) time.Duration {
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
		return d + pause
	}
	return d
}

func shown(phoneNumberID string, s verdict.Status, now time.Time) fleet.Lane {
	o := fleet.Lane{
		PhoneNumberID: phoneNumberID, State: fleet.State(s.State), Since: s.Since.UTC(), Code: s.Code, Reason: s.Reason, Help: s.Help,
	}
	if s.State != verdict.Running {
		o.NextTrial = now.Add(s.Wait).UTC()
	}
	return o
}

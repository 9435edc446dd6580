package redislimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wablock/wablock/ratelimit"
)

// ceilings hold this process alone to the configured rates, so that a Redis that has lost its data cannot release every
// worker at once. Safe for concurrent use.
type ceilings struct {
	mu   sync.Mutex
	byID swept[*rate.Limiter] // by phone number ID; guarded by mu
}

func newCeilings() *ceilings {
	// A bucket that is full again is as good as a new one.
	full := func(l *rate.Limiter, now time.Time) bool { return l.TokensAt(now) >= float64(l.Burst()) }
	return &ceilings{byID: newSwept(full)}
}

// acquire takes a token, or returns how long until there is one.
func (c *ceilings) acquire(phoneNumberID string, set ratelimit.Settings, now time.Time) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reserved := c.limiter(phoneNumberID, set, now).ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// release returns a token for a call that is not made.
func (c *ceilings) release(phoneNumberID string, set ratelimit.Settings, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A Reservation can be cancelled in its own instant alone; a negative event returns a token at any time. What goes
	// beyond the burst is cut off when the limiter is next used.
	c.limiter(phoneNumberID, set, now).AllowN(now, -1)
}

// limiter requires c.mu held.
func (c *ceilings) limiter(phoneNumberID string, set ratelimit.Settings, now time.Time) *rate.Limiter {
	l := c.byID.entries[phoneNumberID]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(set.Rate), set.Burst)
		c.byID.put(phoneNumberID, l, now)
	}
	if l.Limit() != rate.Limit(set.Rate) || l.Burst() != set.Burst {
		l.SetLimitAt(now, rate.Limit(set.Rate))
		l.SetBurstAt(now, set.Burst)
	}
	return l
}

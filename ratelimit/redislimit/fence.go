package redislimit

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/wablock/wablock/ratelimit"
)

// A fence is the configured ceiling as this process alone keeps it, so that a Redis that has lost its data cannot let
// every worker loose at once. One that is full again is as good as a new one.

func fullFence(f *rate.Limiter, now time.Time) bool { return f.TokensAt(now) >= float64(f.Burst()) }

// enter passes the fence of a phone number ID, or says how long until it can be passed.
func (l *Limiter) enter(phoneNumberID string, set ratelimit.Settings) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	reserved := l.fence(phoneNumberID, set, now).ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// leave gives back what enter took, for a call that is not made.
func (l *Limiter) leave(phoneNumberID string, set ratelimit.Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	// A Reservation can be cancelled in its own instant alone; less than no event gives back at any time. What goes beyond
	// the burst is cut off when the fence is next looked at.
	l.fence(phoneNumberID, set, now).AllowN(now, -1)
}

// fence requires l.mu held.
func (l *Limiter) fence(phoneNumberID string, set ratelimit.Settings, now time.Time) *rate.Limiter {
	f := l.fences.entries[phoneNumberID]
	if f == nil {
		f = rate.NewLimiter(rate.Limit(set.Rate), set.Burst)
		l.fences.put(phoneNumberID, f, now)
	}
	if f.Limit() != rate.Limit(set.Rate) || f.Burst() != set.Burst {
		f.SetLimitAt(now, rate.Limit(set.Rate))
		f.SetBurstAt(now, set.Burst)
	}
	return f
}

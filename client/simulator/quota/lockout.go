package quota

import "time"

// Lockout punishes a refused caller: nothing passes for a while after a refusal, and every call
// made meanwhile prolongs it. A caller that does not back off never gets in again.
type Lockout struct {
	inner        Quota
	base, extend time.Duration
	until        time.Time
}

// NewLockout wraps inner. The first call that inner refuses refuses all calls for base (2 s
// in the simulator's default), each call during a lock-out adds extend (1 s) to it. Calls
// during a lock-out do not reach inner.
func NewLockout(inner Quota, base, extend time.Duration) *Lockout {
	return &Lockout{inner: inner, base: max(base, 0), extend: max(extend, 0)}
}

// Allow refuses and prolongs during a lock-out; otherwise inner decides.
func (l *Lockout) Allow(now time.Time, users int) bool {
	if now.Before(l.until) {
		l.until = l.until.Add(l.extend)
		return false
	}
	if l.inner.Allow(now, users) {
		return true
	}
	l.until = now.Add(l.base)
	return false
}

// Usage is full during a lock-out, else inner's.
func (l *Lockout) Usage(now time.Time) float64 {
	if now.Before(l.until) {
		return 1
	}
	return l.inner.Usage(now)
}

// Wait is the rest of the lock-out, or inner's wait if that is longer.
func (l *Lockout) Wait(now time.Time) time.Duration {
	return max(l.until.Sub(now), l.inner.Wait(now), 0)
}

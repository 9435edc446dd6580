package ratelimit

import "time"

// Instant is a point in time on the limiter's clock, in microseconds since 1970. Redis is the clock of a shared state,
// so that workers whose clocks differ agree.
type Instant int64

// At turns a time into an Instant.
func At(t time.Time) Instant { return Instant(t.UnixMicro()) }

// Time returns the Instant as a time in UTC.
func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// Add returns the instant that is d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// Sub returns how much later than u the instant is.
func (i Instant) Sub(u Instant) time.Duration { return time.Duration(i-u) * time.Microsecond }

// number returns how many windows of a length have begun since 1970.
func (i Instant) number(window time.Duration) int64 { return int64(i) / window.Microseconds() }

// The call after a window goes so long after its end, since clocks differ.
const windowMargin = 100 * time.Millisecond

// windowEnd returns when the window that an instant lies in has ended for certain.
func (i Instant) windowEnd(window time.Duration) Instant {
	return Instant((i.number(window) + 1) * window.Microseconds()).Add(windowMargin)
}

package quota

import "time"

// Quota decides over calls, one at a time, and remembers what it let through.
type Quota interface {
	// Allow reports whether a call that carries this many users passes at now, and counts it
	// if so. Time must not run backwards; where it does, it is taken to stand still.
	Allow(now time.Time, users int) bool

	// Usage returns the spent share of the budget, from 0 (nothing) to 1 (all of it), as usage
	// headers do. It counts nothing.
	Usage(now time.Time) float64

	// Wait returns the time until a call of one user would pass if there were no other calls,
	// as a Retry-After header does; 0 when it would pass at once. It counts nothing.
	Wait(now time.Time) time.Duration
}

// All is a quota of several: a call passes if each of them lets it. Those asked before the one
// that refuses have counted the call, as independent counters of one API do. An empty All
// refuses no call.
type All []Quota

// Allow asks each in turn, up to the first that refuses.
func (a All) Allow(now time.Time, users int) bool {
	for _, q := range a {
		if !q.Allow(now, users) {
			return false
		}
	}
	return true
}

// Usage is the highest of them.
func (a All) Usage(now time.Time) float64 {
	var most float64
	for _, q := range a {
		most = max(most, q.Usage(now))
	}
	return most
}

// Wait is the longest of them.
func (a All) Wait(now time.Time) time.Duration {
	var longest time.Duration
	for _, q := range a {
		longest = max(longest, q.Wait(now))
	}
	return longest
}

// UsersCap refuses calls that carry too many users; see [WithUsersCap].
type UsersCap struct {
	Quota
	limit int
}

// WithUsersCap puts a cap on the users of one call in front of inner. A call above it is
// refused without inner hearing of it. A limit of 0 or less caps nothing.
func WithUsersCap(inner Quota, limit int) *UsersCap {
	return &UsersCap{Quota: inner, limit: limit}
}

// Allow refuses a call above the cap, and leaves the others to the inner quota.
func (c *UsersCap) Allow(now time.Time, users int) bool {
	if c.limit > 0 && users > c.limit {
		return false
	}
	return c.Quota.Allow(now, users)
}

// SetCap changes the cap from the next call on.
func (c *UsersCap) SetCap(limit int) { c.limit = limit }

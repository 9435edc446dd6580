package ratelimit

import "time"

// BatchLimit is the learnt maximum of users in a call. The same error says "too many calls" and "too many users";
// the size is blamed where the pace cannot be (see law.blamesSize). Then the size is halved until a call passes, and the cap
// is closed in on from both sides by single calls, trials, that carry more than the others.
type BatchLimit struct {
	Size    int     // users per call now; 0 as many as configured
	Proven  int     // the largest size served
	Refused int     // the smallest size refused; 0 when none
	Sure    bool    // that refusal was seen twice
	RetryAt Instant // when to try Refused again once the cap is found
}

const (
	// The search for the cap ends when what works is this share of what does not.
	usersClose = 0.9
	// A cap may be lifted: it is tried again after this time.
	usersRetry = 10 * time.Minute
)

// works returns the largest size that is not in doubt.
func (b BatchLimit) works() int {
	if b.Size > 0 {
		return min(b.Size, b.Proven)
	}
	return b.Proven
}

// refused halves, or goes back to what works. Of a size that did work nothing more is believed than that it is in doubt: a
// trial finds out whether it still works.
func (b BatchLimit) refused(users int, now Instant) BatchLimit {
	if users <= b.works() {
		b.Size = max(users/2, 1)
		return b
	}
	b.Proven = b.works()
	b.Sure = b.Sure && users < b.Refused || users == b.Refused
	b.Refused = users
	b.Size = b.Proven
	if b.Size == 0 {
		b.Size = max(users/2, 1)
	}
	b.RetryAt = now.Add(usersRetry)
	return b
}

// timedOut halves the size as a refusal does. An outage lets calls of any size time out, so the refused size is
// in doubt until a trial of it times out as well.
func (b BatchLimit) timedOut(users int, trial bool, now Instant) BatchLimit {
	b = b.refused(users, now)
	b.Sure = b.Sure && trial
	return b
}

// served raises what is proven, up to the configured limit, where all doubt ends.
func (b BatchLimit) served(users, limit int) BatchLimit {
	b.Proven = max(b.Proven, users)
	if b.Refused > 0 && b.Proven >= b.Refused {
		b.Refused, b.Sure = 0, false
	}
	if b.Size > 0 {
		b.Size = max(b.Size, users)
	}
	if b.Refused == 0 && b.works() >= limit {
		b.Size = 0
	}
	return b
}

// trial returns the size that one call may try beyond the others; 0 when there is nothing to find out.
func (b BatchLimit) trial(now Instant, limit int) int {
	if b.Size == 0 || b.Proven < b.Size {
		return 0
	}
	next := 0
	switch {
	case b.Size < b.Proven:
		next = b.Proven
	case b.Refused == 0:
		next = 2 * b.Size
	case !b.Sure || now >= b.RetryAt:
		next = b.Refused
	case float64(b.Size) < usersClose*float64(b.Refused):
		next = (b.Size + b.Refused) / 2
	}
	if next = min(next, limit); next <= b.Size {
		return 0
	}
	return next
}

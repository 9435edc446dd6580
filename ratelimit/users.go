package ratelimit

import "time"

// Users is what is known of how many users a call may carry. The same error says "too many calls" and "too many users";
// the size is blamed where the pace cannot be (see blamesSize). Then the size is halved until a call passes, and the cap
// is closed in on from both sides by single calls, trials, that carry more than the others.
type Users struct {
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

// blamesSize tells an error for too many users from one for too many calls: the call carried more than works, and
// went when pace could not be the reason (alone after a pause, or as a trial at a pace that holds); or calls of a size that
// did work are refused alone three times over, however long the pause.
func (s State) blamesSize(e Event) bool {
	switch {
	case e.Users <= 1:
		return false
	case e.Trial > 0 || e.Probe:
		return e.Users > s.Users.works() || s.Failures >= 3
	default:
		return false
	}
}

// works is the largest size that is not in doubt.
func (u Users) works() int {
	if u.Size > 0 {
		return min(u.Size, u.Proven)
	}
	return u.Proven
}

// refused halves, or goes back to what works. Of a size that did work nothing more is believed than that it is in doubt: a
// trial finds out whether it still works.
func (u Users) refused(users int, now Instant) Users {
	if users <= u.works() {
		u.Size = max(users/2, 1)
		return u
	}
	u.Proven = u.works()
	u.Sure = u.Sure && users < u.Refused || users == u.Refused
	u.Refused = users
	u.Size = u.Proven
	if u.Size == 0 {
		u.Size = max(users/2, 1)
	}
	u.RetryAt = now.Add(usersRetry)
	return u
}

// timedOut halves the size as a refusal does. An outage lets calls of any size time out, so the refused size is
// in doubt until a trial of it times out as well.
func (u Users) timedOut(users int, trial bool, now Instant) Users {
	u = u.refused(users, now)
	u.Sure = u.Sure && trial
	return u
}

// served raises what is proven, up to the configured limit, where all doubt ends.
func (u Users) served(users, limit int) Users {
	u.Proven = max(u.Proven, users)
	if u.Refused > 0 && u.Proven >= u.Refused {
		u.Refused, u.Sure = 0, false
	}
	if u.Size > 0 {
		u.Size = max(u.Size, users)
	}
	if u.Refused == 0 && u.works() >= limit {
		u.Size = 0
	}
	return u
}

// trial is the size that one call may try beyond the others; 0 when there is nothing to find out.
func (u Users) trial(now Instant, limit int) int {
	if u.Size == 0 || u.Proven < u.Size {
		return 0
	}
	next := 0
	switch {
	case u.Size < u.Proven:
		next = u.Proven
	case u.Refused == 0:
		next = 2 * u.Size
	case !u.Sure || now >= u.RetryAt:
		next = u.Refused
	case float64(u.Size) < usersClose*float64(u.Refused):
		next = (u.Size + u.Refused) / 2
	}
	if next = min(next, limit); next <= u.Size {
		return 0
	}
	return next
}

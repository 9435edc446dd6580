package ratelimit

import "time"

// What follows is for implementations of [Limiter]. Each has two buckets to ask and to tell, the phone number's and its
// account's; here is how one call becomes a question and a report to each.

// Stamp is what a grant remembers of one bucket for the report that follows.
type Stamp struct {
	Epoch int64 // congestion epoch it was granted in
	Probe bool  // the one call after a pause
	Trial int   // size that this call alone tries; 0 when none
	Due   bool  // its report takes the law a step further
	Taken bool  // the bucket gave something; false once it was refused
	Retry bool  // a token of the retry budget came with it
}

// Answer is what one bucket says to a Take.
type Answer struct {
	Reason Reason // NotLimited gives leave
	Wait   time.Duration
	Users  int
	Retry  time.Duration // until the retry budget has room; 0 when it has
	Stamp  Stamp
}

// Join makes one grant of the two answers: both must give leave, and the longer wait counts. account is nil when there
// is none. When the grant is not OK, a token that one of the two gave must be given back.
func Join(phone Answer, account *Answer) Grant {
	g := Grant{
		Wait: phone.Wait, Reason: phone.Reason, MaxUsers: phone.Users, FreshOnly: phone.Retry > 0, RetryIn: phone.Retry,
		Phone: phone.Stamp,
	}
	if account != nil {
		if account.Wait > g.Wait {
			g.Wait, g.Reason = account.Wait, account.Reason
		}
		g.Account = account.Stamp
	}
	g.OK = g.Reason == NotLimited
	return g
}

// AccountSettings are the bounds of an account: none is configured, so only what is learnt limits it.
func AccountSettings() Settings {
	return Settings{Rate: MaxRate, Burst: maxBurst, MaxUsers: DefaultMaxUsers}
}

// ForPhone is what an observation says about the phone number. An error on the account's behalf says nothing about it,
// and the call is then no goodput either.
func (o Observation) ForPhone() Observation {
	if o.Account {
		o.Limited, o.RetryAfter, o.UsagePercent = false, 0, 0
	}
	return o
}

// ForAccount is what an observation says about the account. Size and retries are the phone number's affair, and so are
// usage headers: the number that is shown them slows down.
func (o Observation) ForAccount() Observation {
	o.Users, o.Retry, o.UsagePercent, o.TimedOut = 0, false, 0, false
	if !o.Account {
		o.Limited, o.RetryAfter = false, 0
	}
	return o
}

// Matters reports whether the law must hear of a call now. Most calls are only counted.
func Matters(st Stamp, o Observation) bool {
	return o.Limited || o.TimedOut && o.Users > 1 || st.Probe || st.Trial > 0 || st.Due ||
		o.UsagePercent >= usageStop && o.RetryAfter > 0
}

// EventOf is what the law hears of a call; jitter is in [0, 1).
func EventOf(st Stamp, o Observation, c Counters, jitter float64) Event {
	return Event{Observation: o, Count: c, Epoch: st.Epoch, Probe: st.Probe, Trial: st.Trial, Due: st.Due, Jitter: jitter}
}

// Restarts reports whether a transition begins or ends a pause: the bucket then starts anew, empty, so that calls saved
// up during the pause do not go at once.
func Restarts(before, after State) bool {
	return before.Epoch != after.Epoch || before.Probe != after.Probe || before.PausedUntil != after.PausedUntil
}

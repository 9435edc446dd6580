package ratelimit

import "time"

// What follows is for implementations of [Limiter]. Each has two buckets, the phone number's and its account's; here is
// how one call becomes a question and a report to each.

// Answer is one bucket's reply to a Take.
type Answer struct {
	Reason Reason // NotLimited allows the call
	Wait   time.Duration
	Users  int
	Retry  time.Duration // until the retry budget has room; 0 when it has
	Stamp  Stamp
}

// Join makes one grant of the two answers: both must allow the call, and the longer wait counts. account is nil when there
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

// Matters reports whether the law must hear of a call now. Most calls are only counted.
func Matters(st Stamp, o Observation) bool {
	return o.Limited || o.TimedOut && o.Users > 1 || st.Probe || st.Trial > 0 || st.Due ||
		o.UsagePercent >= usageStop && o.RetryAfter > 0
}

// EventOf returns the event that a report makes; took is the time since the grant, and jitter is in [0, 1).
func EventOf(st Stamp, o Observation, c Counters, took time.Duration, jitter float64) Event {
	return Event{
		Observation: o, Count: c, Epoch: st.Epoch, Probe: st.Probe, Trial: st.Trial, Due: st.Due, Took: took, Jitter: jitter,
	}
}

// Restart reports whether a transition begins or ends a pause: the bucket then starts anew with so many tokens. After a
// pause there are none, so that calls saved up during it do not go at once. After the very first call there are two, as in
// TCP's slow start.
func Restart(before, after State) (tokens int64, restart bool) {
	if before.Probe == after.Probe && before.PausedUntil == after.PausedUntil {
		return 0, false
	}
	if after.Epoch == 0 && !after.Probe {
		return 2 * micro, true
	}
	return 0, true
}

// retryShare fresh calls make room for one call of retries; a second makes room for one in any case.
const retryShare = 5

// RetryTokens returns the tokens that a reported call adds to the retry budget, in millionths of a token: a fresh call adds its share
// and the token that it was granted with; a call of retries that was granted without one takes one.
func RetryTokens(st Stamp, o Observation) int64 {
	switch {
	case !o.Retry && st.Retry:
		return micro/retryShare + micro
	case !o.Retry:
		return micro / retryShare
	case !st.Retry:
		return -micro
	default:
		return 0
	}
}

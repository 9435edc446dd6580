package ratelimit

import "time"

// Observation is the outcome of a call.
type Observation struct {
	Users        int           // in the call
	Limited      bool          // the API refused it for its rate or its size
	Account      bool          // … on behalf of the whole account
	RetryAfter   time.Duration // stated by the API, 0 when not
	UsagePercent int           // highest usage header, 0 when there was none
	Retry        bool          // the call carried only users that had been tried before
	Served       bool          // the API dealt with it, with success or with verdicts per user
	TimedOut     bool          // no answer came in time: with more than one user, a vote for calls of half the size
}

// ForPhone returns the part of an observation that concerns the phone number. An error on the account's behalf says nothing about it,
// and the call is then no goodput either.
func (o Observation) ForPhone() Observation {
	if o.Account {
		o.Limited, o.RetryAfter, o.UsagePercent = false, 0, 0
	}
	return o
}

// ForAccount returns the part of an observation that concerns the account. Size and retries are the phone number's affair, and so are
// usage headers: the number that is shown them slows down.
func (o Observation) ForAccount() Observation {
	o.Users, o.Retry, o.UsagePercent, o.TimedOut = 0, false, 0, false
	if !o.Account {
		o.Limited, o.RetryAfter = false, 0
	}
	return o
}

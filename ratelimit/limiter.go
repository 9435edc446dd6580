package ratelimit

import (
	"context"
	"fmt"
	"time"
)

// Key names the limits of a call: a phone number ID, and the account it shares with others. Account may be "" when it is not
// known; then only the phone number's own limit applies. Worker is the ID of the worker that asks, for GiveUp; "" for none.
type Key struct{ PhoneNumberID, Account, Worker string }

// Limiter allows calls or makes them wait. Implementations are safe for concurrent use.
type Limiter interface {
	// Take asks to send one call now. It never sleeps: when Grant.OK is false, Grant.Wait is the time until asking again
	// makes sense and Grant.Reason the reason. On an error no call is allowed.
	Take(ctx context.Context, key Key) (Grant, error)
	// Cancel returns a grant that was not used. A grant is either reported or cancelled, once.
	Cancel(ctx context.Context, key Key, g Grant) error
	// Report takes the outcome of the call that a grant allowed. Most reports need no round trip.
	Report(ctx context.Context, key Key, g Grant, o Observation) error
	// GiveUp ends the wait for the probe of key.Worker, which is dead: another may go at once.
	GiveUp(ctx context.Context, key Key) error
}

// Grant answers a Take.
type Grant struct {
	// OK allows one call, to be sent at once: an unused grant goes stale when others meet a limit.
	OK bool
	// Wait is the time until asking again makes sense; 0 when OK.
	Wait time.Duration
	// Reason is the cause of the wait; NotLimited when OK.
	Reason Reason
	// MaxUsers is the number of users that the call may carry, at least 1. Set also when not OK, as a forecast.
	MaxUsers int
	// FreshOnly asks for a call with at least one user that was never tried: the retry budget has no room now. A caller
	// with nothing but retries cancels the grant and asks again after RetryIn.
	FreshOnly bool
	// RetryIn is the time until the retry budget has room for one call, at most a second; 0 unless FreshOnly. Fresh calls
	// by others may make room earlier.
	RetryIn time.Duration

	// At is the time of the grant, on the clock of this process.
	At time.Time
	// Phone and Account are for the report to the two buckets; only limiters read them.
	Phone, Account Stamp
}

// Reason is the cause of a refused Take.
type Reason int

// Reasons, in the order in which a Take checks for them.
const (
	NotLimited Reason = iota
	Paused            // the API refused a call: no calls until the pause ends
	Probing           // a pause has ended and one call, now in flight, finds out whether it is over
	Pace              // the next token is not there yet
	Ceiling           // this process alone has reached the configured rate
)

// String names the reason as metrics and logs show it.
func (r Reason) String() string {
	switch r {
	case NotLimited:
		return "none"
	case Paused:
		return "paused"
	case Probing:
		return "probing"
	case Pace:
		return "pace"
	case Ceiling:
		return "ceiling"
	default:
		return fmt.Sprintf("Reason(%d)", int(r))
	}
}

// Stamp holds what a grant remembers of one bucket for the report that follows.
type Stamp struct {
	Epoch int64 // congestion epoch it was granted in
	Probe bool  // the one call after a pause
	Trial int   // size that this call alone tries; 0 when none
	Due   bool  // its report takes the law a step further
	Taken bool  // the bucket gave something; false once it was refused
	Retry bool  // a token of the retry budget came with it
}

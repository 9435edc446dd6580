package ratelimit

import (
	"context"
	"fmt"
	"time"
)

// Key names what is limited: a phone number ID, and the account it shares with others. Account may be "" when it is not
// known; then only the phone number's own limit applies.
type Key struct{ PhoneNumberID, Account string }

// Limiter gives leave to call. Implementations are safe for concurrent use.
type Limiter interface {
	// Take asks to send one call now. It never sleeps: when Grant.OK is false, Grant.Wait says when to ask again and
	// Grant.Reason why. On an error nobody may call: a limiter that cannot be reached gives no leave.
	Take(ctx context.Context, key Key) (Grant, error)
	// Cancel gives back a grant that was not used. A grant is either reported or cancelled, once.
	Cancel(ctx context.Context, key Key, g Grant) error
	// Report says what came of the call that a grant allowed. Most reports need no round trip.
	Report(ctx context.Context, key Key, g Grant, o Observation) error
}

// Grant answers a Take.
type Grant struct {
	// OK gives leave for one call, to be sent at once: a grant that lies about goes stale when others meet a limit.
	OK bool
	// Wait says when to ask again; 0 when OK.
	Wait time.Duration
	// Reason says why not; NotLimited when OK.
	Reason Reason
	// MaxUsers is how many users the call may carry, at least 1. Set also when not OK, as a forecast.
	MaxUsers int
	// FreshOnly asks for a call with at least one user that was never tried: the retry budget has no room now. A caller
	// with nothing but retries cancels the grant and asks again after RetryIn.
	FreshOnly bool
	// RetryIn is how long until the retry budget has room for one call, at most a second; 0 unless FreshOnly. Fresh calls
	// by others may make room earlier.
	RetryIn time.Duration

	// Phone and Account are what the report must bring back to the two buckets; only limiters look into them.
	Phone, Account Stamp
}

// Reason says why a Take was refused.
type Reason int

// Reasons, in the order in which a Take checks for them.
const (
	NotLimited Reason = iota
	Paused            // the API refused a call: nobody calls until the pause ends
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

// Observation is what came of a call.
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

// Settings are the configured bounds of one phone number ID. Zero fields take the default named.
type Settings struct {
	Rate     float64 // ceiling in calls a second, all workers together; default 20
	Burst    int     // calls that may go at once after a lull; default 5
	MaxUsers int     // users per call, 1 to 1000; default 1000
}

// Bounds of Settings.
const (
	DefaultRate     = 20.0
	DefaultBurst    = 5
	DefaultMaxUsers = 1000
)

// WithDefaults fills zero and impossible fields, so that a wrong setting slows calls down but never stops them.
func (s Settings) WithDefaults() Settings {
	if !(s.Rate > 0) {
		s.Rate = DefaultRate
	}
	s.Rate = min(max(s.Rate, MinRate), MaxRate)
	if s.Burst < 1 {
		s.Burst = DefaultBurst
	}
	s.Burst = min(s.Burst, maxBurst)
	if s.MaxUsers < 1 || s.MaxUsers > DefaultMaxUsers {
		s.MaxUsers = DefaultMaxUsers
	}
	return s
}

// Rates are kept between these, in calls a second: one call in 100 s is slow enough for any limiter that still answers,
// and no API is called faster than ten thousand times a second.
const (
	MinRate  = 0.01
	MaxRate  = 10_000
	maxBurst = 1_000
)

// Package verdict decides, from values and the time alone, what an API answer means: what becomes
// of each user of the call (read.go, by the rules of rules.go), whether a lane may go on calling
// (breaker.go), and when it tries whether a full blocklist has room (room.go).
//
// It knows no Redis, no clock and no goroutine, and keeps nothing but the breaker's state.
package verdict

import (
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Policy holds all that Read needs beside the answer.
type Policy struct {
	MaxAttempts int
	RetryDelay  time.Duration
	// Listed reports that an operator configured the phone number ID.
	Listed bool
	// Check is the result of a list call, for a verdict that asked for it with NeedsCheck.
	Check Check
	// Evidence holds what the breaker remembers of earlier calls.
	Evidence Evidence
	// Places reports that the claim is for places of a full list that were seen to be free.
	Places bool
	// Others reports that further users wait in line, Parts that some of the claim are still to be called, and PartServed that
	// some of it were served.
	Others, Parts, PartServed bool
	Now                       time.Time
	Jitter                    func() float64 // in [0, 1)
}

// Check is the result of the cheapest call that needs the same access as the one that failed.
type Check struct {
	Done bool
	Err  error // nil: the API serves the phone number ID; ErrNotChecked: not known
}

// Verdict is one API answer, read.
type Verdict struct {
	// Outcome names the end of the call, for logs and metrics.
	Outcome string
	// Settlements has one element per user, in order, without those of Again; it is nil when Split is set.
	Settlements []ledger.Settlement
	// CallAgain are users that would die of the answer with too little known: it left them out, or refused them with a code that
	// stops all calls, although others were in the call, or refused one user with none served before. They are called again after the others, in halves.
	CallAgain []ledger.Claimed
	// Split asks for further calls with fewer users.
	Split Split
	// NeedsCheck asks for a list call, and for a second reading with its result.
	NeedsCheck bool
	// Sign, Cause, Reason and Help are for the circuit breaker and its log line.
	Sign         Sign
	Cause        State // that a failure leads to
	Reason, Help string
	// Code is the API's code for the failure or, where the blocklist is full, for that; 0 for none.
	Code int
	// NamesAllFailed reports that the answer refused each user it names, and did what was asked for none.
	NamesAllFailed bool
	// MaxAtFault is the number of users that may fail so one after another, with none served in between, and be at fault
	// themselves: more of them are an outage. It is 0 for a failure that does not tell whose it is.
	MaxAtFault int
	// ListCallFailed reports that a list call failed as well.
	ListCallFailed bool
	// Observation is for the rate limiter.
	Observation ratelimit.Observation
	// LimitedWhole reports that the call was limited as a whole. Struck are the users that were limited, by it or by name,
	// or refused for good alone.
	LimitedWhole bool
	Struck       []user.ID
	// Full reports that the API took the blocklist for full.
	Full bool
	// Succeeded counts the users that the API did what was asked for.
	Succeeded int
	// Err is the error of the whole call, nil if it did not fail.
	Err error
}

// Split is the way in which a call that failed as a whole goes on.
type Split int

const (
	// NoSplit settles all users.
	NoSplit Split = iota
	// Halves calls both halves: the fault may be one user's.
	Halves
	// FirstHalf calls the first half and puts the second back in line: the list has too
	// little room.
	FirstHalf
)

// Sign is the sign that a call gives about the API as a whole.
type Sign int

const (
	// SignNone shows nothing: a rate limit, a canceled call.
	SignNone Sign = iota
	// SignServed: the API dealt with the call.
	SignServed
	// SignFailed: it failed, and it is not known whether for its users or for everyone.
	SignFailed
	// SignHalted: token, account or settings are refused for every call.
	SignHalted
)

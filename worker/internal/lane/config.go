package lane

import (
	"context"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// API is the part of the Block Users API that a lane uses; *client.Client is one.
type API interface {
	Block(ctx context.Context, phoneNumberID string, users []user.ID) (*client.Result, error)
	Unblock(ctx context.Context, phoneNumberID string, users []user.ID) (*client.Result, error)
	// Check makes the cheapest request that needs the same access, and returns its error.
	Check(ctx context.Context, phoneNumberID string) error
}

// PhoneNumber describes one phone number ID: its client, token and account. ID, API and Token are required.
type PhoneNumber struct {
	ID  string
	API API
	// Token authorises API; it is read again when the API refuses it.
	Token *secret.Source
	// Account groups the phone number IDs that share one account's rate limit; "" for none.
	Account string
	// Listed reports that an operator configured the phone number ID. While the API does not know
	// it its users wait, for the configuration or the token's rights to be mended; those of
	// an ID that only a producer named are dead-lettered, and so are those of a deleted one (code 33).
	Listed bool
	// Advice returns what to do about an error of the API that stops all calls, given the general
	// help with it: where this phone number's token is renewed, for one. nil leaves the help as it is.
	Advice func(err error, help string) string
}

// Metrics receives what a lane does. No argument ever names a user. It must be safe for
// concurrent use, and quick.
type Metrics interface {
	// Call counts an API call: how it ended ("answered" or a rule's name) and how many users it
	// carried; the trace ID is "" where the call's trace is not recorded.
	Call(phoneNumberID, operation, outcome string, users int, took time.Duration, traceID string)
	// Settled counts what became of users after a call. code is 0 for none.
	Settled(phoneNumberID, operation, state string, code, users int)
	// RateLimitHit counts a limit error, by whose limit it was.
	RateLimitHit(phoneNumberID, scope string)
	// Limited is called when the limiter refuses a call, with the reason and for how long.
	Limited(phoneNumberID, reason string, wait time.Duration)
	// Backlog is called with what is left after each claim.
	Backlog(phoneNumberID string, b ledger.Backlog)
	// InFlight is called with the number of users that go into a call, and with its negative when
	// they come out of it.
	InFlight(phoneNumberID string, users int)
	// Learnt is called with what the limiter holds to be allowed: calls a second, the rate at which
	// the API last pushed back (0 for never), and users a call.
	Learnt(phoneNumberID string, rate, anchor float64, usersPerCall int)
	// LaneState is called when a lane's state changes: running, halted, outage or full.
	LaneState(phoneNumberID, state string)
	// LaneClosed is called when a lane has no more work.
	LaneClosed(phoneNumberID string)
}

// Config configures a Pool. All fields but ParkClosedWindows, Died and Names are required.
type Config struct {
	Redis redis.UniversalClient
	// Resolve returns how a phone number ID is served, and false when there is no token for it.
	Resolve func(phoneNumberID string) (PhoneNumber, bool)
	Limiter ratelimit.Limiter
	Dead    *deadletter.Queue
	// WorkerID is unlike that of any other worker, ever; the IDs of claims begin with it.
	WorkerID string

	// MaxLanes bounds the lanes that are open at once; further phone number IDs wait in the queue.
	MaxLanes                                    int
	MaxAttempts                                 int
	RequestTimeout, ShutdownTimeout, RetryDelay time.Duration

	// ParkClosedWindows dead-letters blocks of users who are known to have written last before the API allows to block them,
	// without a call.
	ParkClosedWindows bool

	// Died is told which users a call has failed for good, once they are in the dead-letter queue; nil for none. Of an
	// entry it has User, WaID and Failure.
	Died func(ctx context.Context, phoneNumberID string, entries []ledger.Entry)

	// Names bound what is kept of users' names; the zero value is that of the ledger.
	Names ledger.NameLimits

	Logger  *slog.Logger
	Metrics Metrics
}

const (
	maxCalls        = 64              // in flight at once, in a lane
	claimMargin     = 5 * time.Second // from a call's timeout to its claim's deadline
	settleGrace     = 2 * time.Second // for settling the last calls of a worker that stops
	redisRetryDelay = time.Second     // after Redis failed
	idleClose       = time.Minute     // after which a lane without work closes
	idlePoll        = 5 * time.Second // between looks of a lane without work
	readEvery       = time.Second     // between readings of users that other workers may have settled
	tokenPoll       = 2 * time.Second // between readings of a refused token's file
	longestBehind   = 25 * time.Millisecond
	callPoll        = time.Second      // between looks of a call in parts whether it may go on
	checkedFor      = time.Minute      // that a list call is valid for the claim it was made for
	followFor       = 5 * time.Second  // that a task's users are followed
	newRequest      = 10 * time.Second // that a request is taken for new
	announceEvery   = time.Minute      // that Redis is told which worker serves a phone number ID
	announceFor     = 10 * time.Minute // that this counts; longer than the breaker's longest wait
	unservedGrace   = 3 * time.Second  // for that to happen
	fullFor         = 24 * time.Hour   // that a blocklist which was found full is remembered to have been
	parkFrom        = time.Second      // of sleep from which a lane gives its place up when lanes are scarce
	maxParked       = 50_000           // phone number IDs whose breaker is remembered without a lane
	parkPoll        = time.Second      // between looks for those that are due
	longWait        = 2 * time.Second  // from which following them is not worth a handler

	// oldestEvery is the number of claims of which one goes by age alone, not by the queues' order. A call
	// carries one operation: without it, an interactive block before every call would let no
	// bulk unblock through.
	oldestEvery = 10
)

// Keys of log attributes.
const (
	keyPhoneNumberID = "phone_number_id"
	keyOperation     = "operation"
	keyUsers         = "users"
	keySucceeded     = "succeeded"
	keyTook          = "took"
	keyTraceID       = "trace_id"
	keyOutcome       = "outcome"
	keyError         = "error"
	keyState         = "state"
	keyReason        = "reason"
	keyWait          = "wait"
)

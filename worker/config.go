package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/user"
)

// API is the part of the Block Users API that a lane uses; *client.Client is one.
type API interface {
	Block(ctx context.Context, phoneNumberID string, users []user.ID) (*client.Result, error)
	Unblock(ctx context.Context, phoneNumberID string, users []user.ID) (*client.Result, error)
	// Check makes the cheapest request that needs the same access, and returns its error.
	Check(ctx context.Context, phoneNumberID string) error
}

// PhoneNumber is how one phone number ID is served. ID, API and Token are required.
type PhoneNumber struct {
	ID  string
	API API
	// Token is what API authorises itself with; it is read again when the API refuses it.
	Token *secret.Source
	// Account groups the phone number IDs that share one account's rate limit; "" for none.
	Account string
	// Listed says that an operator has configured the phone number ID. While the API knows none
	// such its users wait, for the configuration or the token's rights to be mended; those of
	// an ID that only a producer named are dead-lettered.
	Listed bool
}

// Config says what a Worker works with. Redis, Resolve and Limiter are required.
type Config struct {
	// Redis stays the caller's to close.
	Redis redis.UniversalClient
	// Resolve tells how a phone number ID is served, and false when the worker has no token
	// for it: its users are then dead-lettered, saying so. It must be quick.
	Resolve func(phoneNumberID string) (PhoneNumber, bool)
	// Limiter is shared with all other workers.
	Limiter ratelimit.Limiter

	// Slots runs the tasks of schedules. nil leaves them to other workers.
	Slots Slots

	// MaxAttempts is how many attempts a user gets on retryable errors. 0 means 12.
	MaxAttempts int
	// RequestTimeout bounds one API call. 0 means 30 s.
	RequestTimeout time.Duration
	// ShutdownTimeout is how long calls in flight may go on after the end of Run's context.
	// 0 means 25 s.
	ShutdownTimeout time.Duration
	// Concurrency is how many asynq tasks are in flight, a quarter of them bulk ones. 0 means 64:
	// tasks only wait for their users, so this bounds memory and heartbeats, not calls.
	Concurrency int
	// RetryDelay is the delay before the second attempt; it doubles up to five minutes, with
	// jitter in its upper half. 0 means 1 s.
	RetryDelay time.Duration
	// Poll is how often an idle worker looks for tasks that no poke announced. 0 means 1 s.
	Poll time.Duration

	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Metrics defaults to none.
	Metrics Metrics
}

// Bounds that are nobody's setting.
const (
	maxLanes         = 2000            // open at once; further phone numbers wait in the queue
	maxCallsInLane   = 64              // in flight at once
	claimMargin      = 5 * time.Second // from a call's timeout to its claim's deadline
	holdTask         = 5 * time.Second // that a handler waits for its users' ends
	longWait         = 2 * time.Second // from which a task is deferred at once
	maxDeferral      = time.Minute     // asynq looks again at the latest after this
	maxPutBack       = time.Hour       // the same for a delayed task that was run early
	maxRetryDelay    = 5 * time.Minute // between two attempts
	laneIdle         = time.Minute     // after which a lane without work closes
	lanePoll         = 5 * time.Second // between looks of a lane without work
	lookAgain        = time.Second     // between looks for ends by other workers
	tokenPoll        = 2 * time.Second // between readings of a refused token's file
	tokenLook        = time.Second     // between looks of a call in parts whether it may go on
	watchLimitsEvery = 5 * time.Second // between looks at the limiter, for the metrics
	redisRetryDelay  = time.Second     // after Redis failed
)

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Redis == nil {
		errs = append(errs, errors.New("no Redis"))
	}
	if c.Resolve == nil {
		errs = append(errs, errors.New("no Resolve"))
	}
	if c.Limiter == nil {
		errs = append(errs, errors.New("no Limiter"))
	}
	for name, v := range map[string]int64{
		"MaxAttempts": int64(c.MaxAttempts), "RequestTimeout": int64(c.RequestTimeout),
		"ShutdownTimeout": int64(c.ShutdownTimeout), "Concurrency": int64(c.Concurrency),
		"RetryDelay": int64(c.RetryDelay), "Poll": int64(c.Poll),
	} {
		if v < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, fmt.Errorf("worker: config: %w", err)
	}
	setDefault(&c.MaxAttempts, 12)
	setDefault(&c.RequestTimeout, 30*time.Second)
	setDefault(&c.ShutdownTimeout, 25*time.Second)
	setDefault(&c.Concurrency, 64)
	setDefault(&c.RetryDelay, time.Second)
	setDefault(&c.Poll, time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/internal/lane"
)

type (
	// API is the part of the Block Users API that a worker uses; *client.Client is one.
	API = lane.API
	// PhoneNumber describes one phone number ID: its client, token and account.
	PhoneNumber = lane.PhoneNumber
	// Metrics receives what a worker does.
	Metrics = lane.Metrics
)

// Config configures a Worker. Redis, Resolve and Limiter are required.
type Config struct {
	// Redis stays the caller's to close.
	Redis redis.UniversalClient
	// Resolve returns how a phone number ID is served, and false when the worker has no token
	// for it: its users are then dead-lettered, with that reason. It must be quick.
	Resolve func(phoneNumberID string) (PhoneNumber, bool)
	// Limiter is shared with all other workers.
	Limiter ratelimit.Limiter

	// Configured are the phone number IDs that an operator configured: Ready depends on them, and the
	// worker looks for their waiting users and missing dead letters by itself. Others are served all
	// the same.
	Configured []string
	// Slots runs the tasks of schedules. nil leaves them to other workers.
	Slots Slots

	// MaxAttempts bounds the attempts of a user on retryable errors. 0 means 12.
	MaxAttempts int
	// RequestTimeout bounds one API call, and is at most 10 minutes. 0 means 30 s.
	RequestTimeout time.Duration
	// ShutdownTimeout bounds calls in flight after the end of Run's context.
	// 0 means 25 s.
	ShutdownTimeout time.Duration
	// Concurrency bounds the asynq tasks in flight, a quarter of them bulk ones. 0 means 64:
	// tasks only wait for their users, so this bounds memory and heartbeats, not calls.
	Concurrency int
	// RetryDelay is the delay before the second attempt; it doubles up to five minutes, with
	// jitter in its upper half. 0 means 1 s.
	RetryDelay time.Duration
	// ParkClosedWindows dead-letters blocks without a call of which it is known that the API refuses them, since their users
	// wrote last more than 24 hours ago. It is for phone number IDs whose webhooks arrive.
	ParkClosedWindows bool
	// Jobs bound what is kept of the jobs that dead letters are redriven by; the zero value is that of
	// [tasks.ProducerConfig].
	Jobs ledger.JobLimits
	// Names bound what is kept of users' names.
	Names ledger.NameLimits
	// Poll is the interval in which an idle worker looks for tasks that no message announced. 0 means 1 s.
	Poll time.Duration

	// Logger defaults to one that discards. Warnings and errors that repeat are collapsed.
	Logger *slog.Logger
	// Metrics defaults to none.
	Metrics Metrics
}

const (
	maxRequestTimeout = 10 * time.Minute // and what a claim outlasts it by is less than ledger.MaxWait
	maxDeferral       = time.Minute      // asynq looks again at the latest after this
	maxPutBack        = time.Hour        // the same for a delayed task that was run early
	watchLimitsEvery  = 5 * time.Second  // between looks at the limiter, for the metrics
	redisRetryDelay   = time.Second      // after Redis failed
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
	if c.RequestTimeout > maxRequestTimeout {
		errs = append(errs, fmt.Errorf("RequestTimeout is %v, above %v", c.RequestTimeout, maxRequestTimeout))
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
	c.Logger = slog.New(collapse(c.Logger.Handler()))
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

type noMetrics struct{}

func (noMetrics) Call(string, string, string, int, time.Duration, string) {}
func (noMetrics) Settled(string, string, string, int, int)                {}
func (noMetrics) RateLimitHit(string, string)                             {}
func (noMetrics) Limited(string, string, time.Duration)                   {}
func (noMetrics) Backlog(string, ledger.Backlog)                          {}
func (noMetrics) InFlight(string, int)                                    {}
func (noMetrics) Learnt(string, float64, float64, int)                    {}
func (noMetrics) LaneState(string, string)                                {}
func (noMetrics) LaneClosed(string)                                       {}

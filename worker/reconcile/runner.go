package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/numbers"
)

// Config is what a Runner works with. Redis is required.
type Config struct {
	// Redis stays the caller's to close.
	Redis redis.UniversalClient
	// Limiter is shared with the workers; nil lists without leave.
	Limiter ratelimit.Limiter
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Metrics defaults to none.
	Metrics Metrics
	// Now tells the time by which slots of schedules are due; nil: Redis's, so that workers
	// whose clocks differ agree.
	Now func(ctx context.Context) (time.Time, error)
	// Pause is what listings wait by; nil: the clock.
	Pause func(ctx context.Context, d time.Duration) error
}

// Target is a phone number ID to reconcile, and how. PhoneNumberID, API and Source are
// required.
type Target struct {
	PhoneNumberID string
	API           Lister
	// Account groups the phone number IDs that share one account's rate limit; "" for none.
	Account string
	Source  Source
	// Mode defaults to Report.
	Mode Mode
	// MaxChanges bounds the unblocks of one run; 0 allows none without approval.
	MaxChanges int
}

// Options say what a run is to do.
type Options struct {
	// Apply carries the plan out, as far as its mode and the guards allow. Without it the run
	// changes nothing, and is not remembered.
	Apply bool
	// Approve is the hash of a plan whose unblocks are to be carried out in spite of guards.
	// With another plan the run is refused: ErrStale.
	Approve string
	// Expect is called with the plan before anything is carried out; its error refuses it.
	Expect func(*Plan) error
	// Trigger and Slot are for the record.
	Trigger Trigger
	Slot    time.Time
	// Say is told what takes long. nil: nobody.
	Say func(format string, args ...any)
}

// ErrStale is returned, wrapped, when a plan that was approved or saved is no longer what a
// run would do. Nothing was done.
var ErrStale = errors.New("the plan is stale")

// Result is what a run found, and did.
type Result struct {
	Plan *Plan
	// Rejected are the lines of the desired list that name nobody.
	Rejected []numbers.Rejection
	// Trips are the guards that stopped the unblocks, unless Approved.
	Trips    []Trip
	Approved bool
	// Applied says that all of the plan was enqueued. When a guard stopped the unblocks it is
	// false, though the blocks were.
	Applied bool
	// Jobs were enqueued; Adopted users were written into the ledger.
	Jobs    []tasks.Job
	Adopted int
	// Calls is how many API calls the plan takes, and Takes how long at the learnt rate; 0
	// when nothing is known of it.
	Calls int
	Takes time.Duration
	// Record is what is remembered of the run.
	Record Record
}

// runTimeout bounds a run: a full list is 640 pages of 100, at whatever rate the API allows.
const runTimeout = 25 * time.Minute

// Keys of log attributes.
const (
	keyPhoneNumberID = "phone_number_id"
	keyError         = "error"
	keyRunID         = "run_id"
)

// Runner reconciles phone number IDs. Make one with New. It is safe for concurrent use, and
// never runs twice at a time for one phone number ID, in whatever process.
type Runner struct {
	cfg      Config
	producer *tasks.Producer
}

// New returns a Runner.
func New(cfg Config) (*Runner, error) {
	if cfg.Redis == nil {
		return nil, errors.New("reconcile: config: no Redis")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = noMetrics{}
	}
	if cfg.Pause == nil {
		cfg.Pause = pauseFor
	}
	if cfg.Now == nil {
		cfg.Now = func(ctx context.Context) (time.Time, error) { return cfg.Redis.Time(ctx).Result() }
	}
	p, err := tasks.NewProducer(cfg.Redis, tasks.ProducerConfig{Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	return &Runner{cfg: cfg, producer: p}, nil
}

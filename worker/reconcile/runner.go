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
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// Config configures a Runner. Redis is required.
type Config struct {
	// Redis stays the caller's to close.
	Redis redis.UniversalClient
	// Limiter is shared with the workers; nil lists without tokens.
	Limiter ratelimit.Limiter
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Jobs bound what is kept of jobs; the zero value is that of [tasks.ProducerConfig].
	Jobs ledger.JobLimits
	// Names bound what is kept of users' names; the zero value is that of the ledger.
	Names ledger.NameLimits
	// Now returns the time by which slots of schedules are due; nil: Redis's, so that workers
	// whose clocks differ agree.
	Now func(ctx context.Context) (time.Time, error)
	// Pause replaces the clock that listings wait by; nil: the clock.
	Pause func(ctx context.Context, d time.Duration) error
}

// Target is a phone number ID to reconcile, and how. PhoneNumberID, API and Source are
// required.
type Target struct {
	PhoneNumberID string
	API           listing.API
	// Account groups the phone number IDs that share one account's rate limit; "" for none.
	Account string
	Source  source.Source
	// Mode defaults to plan.Report.
	Mode plan.Mode
	// MaxChanges bounds the unblocks of one run; 0 allows none without approval.
	MaxChanges int
}

// Options select what a run does.
type Options struct {
	// Apply carries the plan out, as far as its mode and the guards allow. Without it the run
	// changes nothing, and is not remembered.
	Apply bool
	// Approve is the hash of a plan whose unblocks are carried out in spite of guards. With
	// another plan the run is refused: ErrStale.
	Approve string
	// Reviewed means that the plan is, or was, saved for review, so that the guard against a first
	// run has no purpose.
	Reviewed bool
	// Expect is called with the plan before anything is carried out; its error refuses it.
	Expect func(*plan.Plan) error
	// Trigger and Slot are for the record.
	Trigger Trigger
	Slot    time.Time
	// Say reports what takes long, in words for people. nil discards it.
	Say func(format string, args ...any)
}

// ErrStale is returned, wrapped, when a plan that was approved or saved is no longer what a
// run would do. Nothing was done.
var ErrStale = errors.New("the plan is stale")

// Result holds what a run found, and did.
type Result struct {
	Plan *plan.Plan
	// Rejected are the lines of the desired list that hold no number.
	Rejected []numbers.Rejection
	// Column is the column of the desired list that was read; zero for the ledger.
	Column numbers.Column
	// Violations stopped the unblocks, unless Approved.
	Violations []plan.Violation
	Approved   bool
	// Applied means that all of the plan was enqueued. When a guard stopped the unblocks it is
	// false, though the blocks were.
	Applied bool
	// Jobs were enqueued; Adopted users were written into the ledger.
	Jobs    []tasks.Job
	Adopted int
	// Calls is the number of API calls of the plan, and Takes their time at the learnt rate; 0
	// when that is unknown.
	Calls int
	Takes time.Duration
	// Record is the memory of the run.
	Record Record
}

// stopped reports whether guards stop the unblocks.
func (r *Result) stopped() bool { return len(r.Violations) > 0 && !r.Approved }

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

// New returns a Runner. cfg.Redis is required, and stays the caller's to close.
func New(cfg Config) (*Runner, error) {
	if cfg.Redis == nil {
		return nil, errors.New("reconcile: config: no Redis")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = func(ctx context.Context) (time.Time, error) { return cfg.Redis.Time(ctx).Result() }
	}
	p, err := tasks.NewProducer(cfg.Redis, tasks.ProducerConfig{Jobs: cfg.Jobs, Names: cfg.Names, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	return &Runner{cfg: cfg, producer: p}, nil
}

// Run plans, and with Options.Apply carries the plan out. The error matches ErrRunning,
// source.ErrUnusable, listing.ErrUnstable or ErrStale, or is that of the API or Redis; nothing
// is unblocked then, unless the Result has Jobs.
func (r *Runner) Run(ctx context.Context, t Target, o Options) (*Result, error) {
	if t.Mode == "" {
		t.Mode = plan.Report
	}
	if err := queues.CheckPhoneNumberID(t.PhoneNumberID); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	runID := newRunID()
	lease, leased, err := acquireLease(bounded, r.cfg.Redis, t.PhoneNumberID, runID)
	if err != nil {
		return nil, err
	}
	defer lease.release()
	u := &run{
		Runner: r, target: t, options: o, id: runID, ledger: ledger.New(r.cfg.Redis, t.PhoneNumberID), lease: lease,
		log:    r.cfg.Logger.With(keyPhoneNumberID, t.PhoneNumberID, keyRunID, runID),
		result: &Result{Record: Record{RunID: runID, PhoneNumberID: t.PhoneNumberID, Trigger: o.Trigger, Slot: o.Slot, StartedAt: time.Now().UTC(), Mode: t.Mode, Source: t.Source.Name()}},
	}
	err = u.do(leased)
	if err != nil && leased.Err() != nil {
		err = errors.Join(context.Cause(leased), err)
	}
	return u.result, u.end(ctx, err)
}

// Kept counts what housekeeping did.
type Kept struct {
	// Requeued users waited without a task; Forgotten were unblocked long ago; DeadLettered were
	// dead without an entry in the dead-letter queue.
	Requeued, Forgotten, DeadLettered int
}

// Keep keeps the ledger of a phone number ID: users who wait but are in no task are enqueued
// again, users who are dead without a dead letter get one, and users who were unblocked long
// ago are forgotten. A pass is bounded; the next goes on.
func (r *Runner) Keep(ctx context.Context, phoneNumberID string) (Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	lease, ctx, err := acquireLease(ctx, r.cfg.Redis, phoneNumberID, newRunID())
	if err != nil {
		return Kept{}, err
	}
	defer lease.release()
	k := &keeping{Runner: r, phoneNumberID: phoneNumberID, ledger: ledger.New(r.cfg.Redis, phoneNumberID)}
	log := r.cfg.Logger.With(keyPhoneNumberID, phoneNumberID)
	if err := k.do(ctx); err != nil {
		log.Error("reconcile: housekeeping of the ledger failed", keyError, err.Error())
		return k.kept, fmt.Errorf("reconcile: keep the ledger: %w", err)
	}
	if n := k.kept.Requeued; n > 0 {
		log.Warn("reconcile: users waited without a task, and were enqueued again", "users", n)
	}
	if n := k.kept.DeadLettered; n > 0 {
		log.Warn("reconcile: users were dead without a dead letter, and got one", "users", n)
	}
	if n := k.kept.Forgotten; n > 0 {
		log.Info("reconcile: users unblocked long ago were forgotten", "users", n)
	}
	return k.kept, nil
}

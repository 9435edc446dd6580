package reconcile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
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

// Run plans, and with Options.Apply carries the plan out. The error matches ErrRunning,
// ErrSource, ErrNeverQuiet or ErrStale, or says what the API or Redis failed with; nothing is
// unblocked then, unless the Result has Jobs.
func (r *Runner) Run(ctx context.Context, t Target, o Options) (*Result, error) {
	if t.Mode == "" {
		t.Mode = Report
	}
	if err := tasks.CheckPhoneNumberID(t.PhoneNumberID); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	whole, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	runID := newRunID()
	leased, giveBack, err := takeLease(whole, r.cfg.Redis, t.PhoneNumberID, runID)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	u := &run{
		Runner: r, target: t, options: o, id: runID, ledger: ledger.New(r.cfg.Redis, t.PhoneNumberID),
		log:    r.cfg.Logger.With(keyPhoneNumberID, t.PhoneNumberID, keyRunID, runID),
		result: &Result{Record: Record{RunID: runID, PhoneNumberID: t.PhoneNumberID, Trigger: o.Trigger, Slot: o.Slot, StartedAt: time.Now().UTC(), Mode: t.Mode, Source: t.Source.Name()}},
	}
	err = u.do(leased)
	if err != nil && leased.Err() != nil {
		err = errors.Join(context.Cause(leased), err)
	}
	return u.result, u.end(ctx, err)
}

// newRunID returns 64 random bits, in letters.
func newRunID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return letters(b[:])
}

// run is one run of a Runner.
type run struct {
	*Runner
	target  Target
	options Options
	id      string
	ledger  *ledger.Ledger
	log     *slog.Logger
	result  *Result
}

func (u *run) do(ctx context.Context) error {
	in, err := u.read(ctx)
	if err != nil {
		return err
	}
	u.result.Plan = Compute(in)
	if err := u.check(ctx); err != nil {
		return err
	}
	u.estimate(ctx)
	if !u.options.Apply {
		return nil
	}
	if err := u.refuseStale(); err != nil {
		return err
	}
	return u.apply(ctx)
}

// read gathers what the plan depends on. The order matters: see the package's doc.
func (u *run) read(ctx context.Context) (Input, error) {
	in := Input{PhoneNumberID: u.target.PhoneNumberID, Mode: u.target.Mode}
	var err error
	if in.Base, err = u.ledger.NextVersion(ctx); err != nil {
		return in, err
	}
	desired, err := u.target.Source.Desired(ctx)
	u.result.Rejected = desired.Rejected
	if err != nil {
		return in, err
	}
	in.Desired, in.FromLedger = desired.Users, desired.FromLedger
	if in.Actual, err = u.list(ctx); err != nil {
		return in, err
	}
	if in.Pending, err = u.pending(ctx); err != nil {
		return in, err
	}
	for e, err := range u.ledger.Scan(ctx) {
		if err != nil {
			return in, err
		}
		in.Entries = append(in.Entries, e)
	}
	return in, nil
}

// holdTime is how long our own writes stand still after a process that dies, by Redis's clock.
const holdTime = 15 * time.Second

// list reads the blocklist, proven.
func (u *run) list(ctx context.Context) ([]client.Entry, error) {
	held, release := context.WithCancel(ctx)
	var renewing <-chan struct{}
	defer func() {
		release()
		if renewing == nil {
			return
		}
		<-renewing
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
		defer cancel()
		if _, err := u.ledger.Release(after, u.id); err != nil {
			u.log.Warn("reconcile: writes go on only when their hold ends by itself", keyError, err.Error())
		}
	}()
	hold := func(ctx context.Context) error {
		if ok, err := u.ledger.Hold(ctx, u.id, holdTime); err != nil || !ok {
			return err // somebody else's hold does as well
		}
		u.say("our own writes stand still until the list is read")
		renewing = keepUp(held, holdTime, func(ctx context.Context) (bool, error) { return u.ledger.Hold(ctx, u.id, holdTime) }, func() {})
		return nil
	}
	l := Listing{
		API: u.target.API, PhoneNumberID: u.target.PhoneNumberID, Limiter: u.cfg.Limiter,
		Key:  ratelimit.Key{PhoneNumberID: u.target.PhoneNumberID, Account: u.target.Account},
		Hold: hold, Pause: u.cfg.Pause, Say: u.say, Logger: u.log,
		Writes: func(ctx context.Context) bool {
			if renewing != nil {
				return false
			}
			b, err := u.ledger.Backlog(ctx)
			return err == nil && b.UpTo(ledger.Bulk) > 0
		},
	}
	return l.Whole(ctx)
}

func (u *run) say(format string, args ...any) {
	if u.options.Say != nil {
		u.options.Say(format, args...)
	}
}

// pending returns whom tasks name that have not ended. Jobs that were put off until later
// than now are no work yet.
func (u *run) pending(ctx context.Context) (map[user.ID]ledger.Version, error) {
	now, err := u.ledger.NextVersion(ctx)
	if err != nil {
		return nil, err
	}
	pending := map[user.ID]ledger.Version{}
	for p, err := range u.producer.Live(ctx, u.target.PhoneNumberID) {
		if err != nil {
			return nil, err
		}
		if p.Version > now && p.RequestedAt.Add(time.Minute).Before(p.Version.Time()) {
			continue
		}
		for _, id := range p.Users {
			pending[id] = max(pending[id], p.Version)
		}
	}
	return pending, nil
}

// check holds the plan against the guards.
func (u *run) check(ctx context.Context) error {
	last, err := lastDesired(ctx, u.cfg.Redis, u.target.PhoneNumberID, u.target.Source)
	if err != nil {
		return err
	}
	u.result.Trips = u.result.Plan.Check(Limits{
		MaxChanges: u.target.MaxChanges, LastDesired: last, Rejected: len(u.result.Rejected),
	})
	u.result.Approved = len(u.result.Trips) > 0 && u.options.Approve == u.result.Plan.Hash
	return nil
}

// shower tells what a limiter has learnt; redislimit.Limiter is one.
type shower interface {
	Show(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error)
}

// estimate counts calls and time at the learnt rate.
func (u *run) estimate(ctx context.Context) {
	perCall := client.MaxUsers
	s, known := u.cfg.Limiter.(shower)
	var snapshot ratelimit.Snapshot
	if known {
		var err error
		if snapshot, err = s.Show(ctx, u.target.PhoneNumberID); err != nil {
			known = false
		} else if snapshot.MaxUsers > 0 {
			perCall = snapshot.MaxUsers
		}
	}
	calls := func(n int) int { return (n + perCall - 1) / perCall }
	u.result.Calls = calls(len(u.result.Plan.ToBlock)) + calls(len(u.result.Plan.ToUnblock))
	if known && u.result.Calls > 0 {
		u.result.Takes = snapshot.Wait(u.result.Calls)
	}
}

func (u *run) refuseStale() error {
	p := u.result.Plan
	if a := u.options.Approve; a != "" && a != p.Hash {
		return fmt.Errorf("reconcile: %w: what is to be unblocked now is another plan, %s: look at it, and approve that one", ErrStale, p.Hash)
	}
	if u.options.Expect != nil {
		return u.options.Expect(p)
	}
	return nil
}

// end completes the record, and writes it down if the run was to change anything. A run of a
// slot that was only broken off, by the end of the process or of its lease, is not: the slot
// is run anew.
func (u *run) end(ctx context.Context, err error) error {
	r := &u.result.Record
	r.EndedAt = time.Now().UTC()
	if p := u.result.Plan; p != nil {
		r.Desired, r.Actual, r.ToBlock, r.ToUnblock, r.ToAdopt = p.Desired, p.Actual, len(p.ToBlock), len(p.ToUnblock), len(p.ToAdopt)
		r.Ambiguous, r.LeftAlone, r.LikelyToFail, r.Hash = len(p.Ambiguous), p.LeftAlone, p.LikelyToFail, p.Hash
	}
	r.Rejected, r.Guards, r.Approved, r.Applied = len(u.result.Rejected), u.result.Trips, u.result.Approved, u.result.Applied
	r.Adopted = u.result.Adopted
	for _, j := range u.result.Jobs {
		if j.Operation == ledger.Block {
			r.Blocks += j.Accepted
		} else {
			r.Unblocks += j.Accepted
		}
	}
	if err != nil {
		r.Error = user.Scrub(err.Error())
	}
	if !u.options.Apply {
		return err
	}
	u.announce(r, err)
	if !r.Slot.IsZero() && (ctx.Err() != nil || errors.Is(err, errLeaseLost)) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	return errors.Join(err, remember(ctx, u.cfg.Redis, *r))
}

// announce is loud about what went wrong.
func (u *run) announce(r *Record, err error) {
	u.cfg.Metrics.Reconciled(*r)
	log := u.log.With("mode", r.Mode, "trigger", r.Trigger, "desired", r.Desired, "actual", r.Actual, "to_block", r.ToBlock,
		"to_unblock", r.ToUnblock, "blocks", r.Blocks, "unblocks", r.Unblocks, "adopted", r.Adopted, "ambiguous", r.Ambiguous,
		"left_alone", r.LeftAlone, "took", r.Duration().Round(time.Millisecond))
	switch {
	case err != nil:
		log.Error("reconcile: the run failed", keyError, r.Error)
	case !r.Good():
		log.Error("reconcile: guards stopped all unblocks; the blocks were done", "guards", r.Guards, "hash", r.Hash,
			"help", "look at `wablock reconcile --plan`; if it is right, `wablock reconcile --apply --approve HASH` does it once")
	case len(r.Guards) > 0 && !r.Approved:
		log.Warn("reconcile: reported; guards would stop all unblocks", "guards", r.Guards)
	default:
		log.Info("reconcile: done")
	}
}

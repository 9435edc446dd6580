package reconcile

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// newRunID returns 64 random bits, in letters.
func newRunID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return user.Letters(b[:])
}

// run holds the target and the options of one run, its lease, and what has come of it so far.
type run struct {
	*Runner
	target  Target
	options Options
	id      string
	ledger  *ledger.Ledger
	lease   *lease
	log     *slog.Logger
	result  *Result
	limits  plan.Limits
}

func (u *run) do(ctx context.Context) error {
	in, err := u.read(ctx)
	if err != nil {
		return err
	}
	if u.result.Plan, err = plan.Compute(in, u.ledger.Scan(ctx)); err != nil {
		return err
	}
	if err := u.check(ctx); err != nil {
		return err
	}
	u.estimate(ctx)
	if !u.options.Apply {
		return nil
	}
	if err := u.refuseStale(ctx); err != nil {
		return err
	}
	return u.apply(ctx)
}

// read gathers what the plan depends on, but for the ledger's records, which are read last. The
// order matters: see the package's doc.
func (u *run) read(ctx context.Context) (plan.Input, error) {
	in := plan.Input{PhoneNumberID: u.target.PhoneNumberID, Mode: u.target.Mode}
	var err error
	if in.Base, err = u.ledger.NextVersion(ctx); err != nil {
		return in, err
	}
	// Once before the listing, so that a run without a desired list makes no calls; and once
	// after it: a user who is put on the desired list, and is then blocked by another program
	// while the listing goes on, must not be found on that list alone.
	before, err := u.desired(ctx)
	if err != nil {
		return in, err
	}
	if in.Actual, err = u.list(ctx); err != nil {
		return in, err
	}
	desired, err := u.desired(ctx)
	if err != nil {
		return in, err
	}
	in.Desired, in.FromLedger, in.Before = desired.Users, desired.FromLedger, before.Users
	in.MaxDesired = source.MaxUsers
	protected, err := protect.Load(ctx, u.cfg.Redis, u.target.PhoneNumberID)
	if err != nil {
		return in, err
	}
	in.Protected = protected.Has
	if in.Pending, in.Later, err = u.pending(ctx); err != nil {
		return in, err
	}
	var learn func(ctx context.Context, told ...tasks.Told) error
	if u.options.Apply { // a report changes nothing
		learn = func(ctx context.Context, told ...tasks.Told) error {
			_, err := u.producer.Learn(ctx, u.target.PhoneNumberID, told...)
			return err
		}
	}
	return in, namePersons(ctx, u.ledger, learn, &in)
}

func (u *run) desired(ctx context.Context) (source.List, error) {
	d, err := u.target.Source.Read(ctx)
	u.result.Rejected, u.result.Column = d.Rejected, d.Column
	return d, err
}

// holdTime is the time that the hold of wablock's own writes outlives a process that dies, by
// Redis's clock.
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
		if _, err := u.ledger.Thaw(after, u.id); err != nil {
			u.log.Warn("reconcile: writes go on only when their hold expires", keyError, err.Error())
		}
	}()
	hold := func(ctx context.Context) error {
		if ok, err := u.ledger.Freeze(ctx, u.id, holdTime); err != nil || !ok {
			return err // another run's hold does as well
		}
		u.say("wablock's own writes are held until the list is read")
		renewing = renewUntil(held, holdTime, func(ctx context.Context) (bool, error) { return u.ledger.Freeze(ctx, u.id, holdTime) }, func() {})
		return nil
	}
	return listing.Read(ctx, listing.Config{
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
	})
}

func (u *run) say(format string, args ...any) {
	if u.options.Say != nil {
		u.options.Say(format, args...)
	}
}

// pending returns the users of tasks that have not ended, and apart from these the users that a
// delayed job will block. Other delayed jobs are not work yet.
func (u *run) pending(ctx context.Context) (pending map[user.ID]ledger.Version, later map[user.ID]struct{}, err error) {
	now, err := u.ledger.NextVersion(ctx)
	if err != nil {
		return nil, nil, err
	}
	pending, later = map[user.ID]ledger.Version{}, map[user.ID]struct{}{}
	for p, err := range queues.Live(ctx, u.cfg.Redis, u.target.PhoneNumberID) {
		if err != nil {
			return nil, nil, err
		}
		delayed := p.DueIn(now) > 0
		for _, id := range p.Users {
			switch {
			case !delayed:
				pending[id] = max(pending[id], p.Version)
			case p.Operation == ledger.Block:
				later[id] = struct{}{}
			}
		}
	}
	return pending, later, nil
}

// check holds the plan against the guards.
func (u *run) check(ctx context.Context) error {
	last, remembered, err := lastDesired(ctx, u.cfg.Redis, u.target.PhoneNumberID, u.target.Source)
	if err != nil {
		return err
	}
	u.limits = plan.Limits{
		MaxChanges: u.target.MaxChanges, First: !remembered && !u.options.Reviewed, LastDesired: last, Rejected: len(u.result.Rejected),
	}
	u.result.Violations = u.limits.Check(u.result.Plan)
	u.result.Approved = len(u.result.Violations) > 0 && u.options.Approve == u.result.Plan.Hash
	return nil
}

// estimate counts calls and time at the learnt rate.
func (u *run) estimate(ctx context.Context) {
	perCall := client.MaxUsers
	s, known := u.cfg.Limiter.(interface {
		Show(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error)
	})
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

func (u *run) refuseStale(ctx context.Context) error {
	p := u.result.Plan
	if a := u.options.Approve; a != "" {
		if a != p.Hash {
			return fmt.Errorf("reconcile: %w: what is to be unblocked now is another plan, %s: look at it, and approve that one", ErrStale, p.Hash)
		}
		used, err := wasApproved(ctx, u.cfg.Redis, p.PhoneNumberID, a)
		if err != nil {
			return err
		}
		if used {
			return fmt.Errorf("reconcile: %w: that plan was approved before, and an approval holds once: raise --max-changes, or unblock by hand", ErrStale)
		}
	}
	if u.options.Expect != nil {
		return u.options.Expect(p)
	}
	return nil
}

// apply enqueues what the plan contains, as far as mode and guards allow. The blocks go first:
// in the ledger's line what is older goes out first.
func (u *run) apply(ctx context.Context) error {
	p, r := u.result.Plan, u.result
	a := applier{producer: u.producer, ledger: u.ledger, lease: u.lease, base: p.Base, result: r}
	if p.Mode != plan.Report {
		if err := a.enqueue(ctx, ledger.Block, chunks(p.ToBlock)); err != nil {
			return err
		}
		if err := a.adopt(ctx, p.ToAdopt); err != nil {
			return err
		}
	}
	if p.Mode.Unblocks() && !r.stopped() {
		if err := a.enqueue(ctx, ledger.Unblock, exactChunks(p.Base, p.ToUnblock)); err != nil {
			return err
		}
		if r.Approved && len(p.ToUnblock) > 0 {
			if err := useApproval(ctx, u.cfg.Redis, p.PhoneNumberID, p.Hash); err != nil {
				return err
			}
		}
	}
	r.Applied = p.Mode != plan.Report && !r.stopped()
	// In mode adopt there are no unblocks that a guard could have stopped over a list that broke
	// off, and the next mode needs its guard.
	if r.stopped() || p.Mode == plan.Adopt && u.limits.Shrunk(p) {
		return nil
	}
	return believe(ctx, u.cfg.Redis, p.PhoneNumberID, u.target.Source, p.Desired)
}

// end completes the record, and writes it down if the run was to change anything. A run of a
// slot that was only interrupted, by the end of the process or of its lease, is not written
// down: the slot runs anew.
func (u *run) end(ctx context.Context, err error) error {
	r := &u.result.Record
	r.complete(u.result, err)
	if !u.options.Apply {
		return err
	}
	u.report(r, err)
	if !r.Slot.IsZero() && (ctx.Err() != nil || errors.Is(err, errLeaseLost)) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
	defer cancel()
	return errors.Join(err, remember(ctx, u.cfg.Redis, *r))
}

// report logs the outcome: an error where the run failed or guards stopped unblocks, a warning
// where they would have.
func (u *run) report(r *Record, err error) {
	log := u.log.With("mode", r.Mode, "trigger", r.Trigger, "desired", r.Desired, "actual", r.Actual, "to_block", r.ToBlock,
		"to_unblock", r.ToUnblock, "blocks", r.Blocks, "unblocks", r.Unblocks, "adopted", r.Adopted, "ambiguous", r.Ambiguous,
		"left_alone", r.LeftAlone, "protected", r.Protected, "took", r.Duration().Round(time.Millisecond).String())
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

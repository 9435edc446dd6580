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
	"github.com/wablock/wablock/tasks/user"
)

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
	lease, leased, err := takeLease(whole, r.cfg.Redis, t.PhoneNumberID, runID)
	if err != nil {
		return nil, err
	}
	defer lease.giveBack()
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
	lease   *lease
	log     *slog.Logger
	result  *Result
	// lastDesired is how long the desired list was when it was believed last.
	lastDesired int
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
	if err := u.refuseStale(ctx); err != nil {
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
	// Once before the listing, so that a run without a desired list makes no calls; and once
	// after it: who is put on the desired list, and is then blocked by some other program while
	// the listing goes on, must not be found on that list alone.
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
	if in.Pending, in.Later, err = u.pending(ctx); err != nil {
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

func (u *run) desired(ctx context.Context) (Desired, error) {
	d, err := u.target.Source.Desired(ctx)
	u.result.Rejected = d.Rejected
	return d, err
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

// pending returns whom tasks name that have not ended, and apart from these whom a job will block
// that was put off until later than now. The other jobs that were put off are no work yet.
func (u *run) pending(ctx context.Context) (pending map[user.ID]ledger.Version, later map[user.ID]struct{}, err error) {
	now, err := u.ledger.NextVersion(ctx)
	if err != nil {
		return nil, nil, err
	}
	pending, later = map[user.ID]ledger.Version{}, map[user.ID]struct{}{}
	for p, err := range u.producer.Live(ctx, u.target.PhoneNumberID) {
		if err != nil {
			return nil, nil, err
		}
		putOff := p.DueIn(now) > 0
		for _, id := range p.Users {
			switch {
			case !putOff:
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
	var err error
	if u.lastDesired, err = lastDesired(ctx, u.cfg.Redis, u.target.PhoneNumberID, u.target.Source); err != nil {
		return err
	}
	u.result.Trips = u.result.Plan.Check(Limits{
		MaxChanges: u.target.MaxChanges, LastDesired: u.lastDesired, Rejected: len(u.result.Rejected),
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
			return fmt.Errorf("reconcile: %w: that plan was approved before, and an approval holds once: make the guards let it pass (--max-changes), or unblock by hand", ErrStale)
		}
	}
	if u.options.Expect != nil {
		return u.options.Expect(p)
	}
	return nil
}

package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

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

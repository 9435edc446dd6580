package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// yield is how far before the base a run's work is ordered at the most: what was asked for in
// that time, and did not get into the ledger yet, wins over it.
const yield = time.Hour

// apply enqueues what the plan says, as far as mode and guards allow. The blocks go first: in
// the ledger's line what is older goes out first.
func (u *run) apply(ctx context.Context) error {
	p := u.result.Plan
	if p.Mode != Report {
		if err := u.enqueue(ctx, ledger.Block, chunks(p.ToBlock)); err != nil {
			return err
		}
		if err := u.adopt(ctx, p.ToAdopt); err != nil {
			return err
		}
	}
	stopped := len(u.result.Trips) > 0 && !u.result.Approved
	if p.Mode == Enforce && !stopped {
		if err := u.enqueue(ctx, ledger.Unblock, exactChunks(p.Base, p.ToUnblock)); err != nil {
			return err
		}
		if u.result.Approved {
			if err := useApproval(ctx, u.cfg.Redis, p.PhoneNumberID, p.Hash); err != nil {
				return err
			}
		}
	}
	u.result.Applied = p.Mode != Report && !stopped
	// In mode adopt there are no unblocks that a guard could have stopped over a list that broke
	// off, and the next mode is to have its guard.
	if stopped || p.Mode == Adopt && p.Desired*shrinkFactor < u.lastDesired {
		return nil
	}
	return believe(ctx, u.cfg.Redis, p.PhoneNumberID, u.target.Source, p.Desired)
}

// chunks yields changes in the size of a task, those with the oldest records together.
func chunks(changes []Change) [][]Change {
	sorted := slices.SortedStableFunc(slices.Values(changes), func(a, b Change) int { return cmp.Compare(a.Seen, b.Seen) })
	return slices.Collect(slices.Chunk(sorted, tasks.MaxUsersPerTask))
}

// exactChunks is as chunks, but keeps those apart whose versions are to differ: an unblock must
// not be newer than it has to be because of somebody else in its chunk. A request that was
// accepted already, and has got nowhere yet because its producer stands still, wins over it.
func exactChunks(base ledger.Version, changes []Change) [][]Change {
	byVersion := map[ledger.Version][]Change{}
	for _, c := range changes {
		v := versionOf(base, []Change{c})
		byVersion[v] = append(byVersion[v], c)
	}
	var all [][]Change
	for _, v := range slices.Sorted(maps.Keys(byVersion)) {
		all = append(all, chunks(byVersion[v])...)
	}
	return all
}

// versionOf orders a chunk: above every record that it is based on, and otherwise as far in
// the past as may be. It is never above the base.
func versionOf(base ledger.Version, chunk []Change) ledger.Version {
	v := max(1, base-ledger.Version(yield.Microseconds()))
	for _, c := range chunk {
		v = max(v, c.Seen+1)
	}
	return v
}

func (u *run) enqueue(ctx context.Context, op ledger.Operation, chunks [][]Change) error {
	for _, chunk := range chunks {
		if err := u.lease.check(ctx); err != nil {
			return err
		}
		users := make([]user.ID, len(chunk))
		for i, c := range chunk {
			users[i] = c.User
		}
		job, err := u.producer.Enqueue(ctx, tasks.Request{
			Operation: op, Users: users, PhoneNumberID: u.target.PhoneNumberID, Queue: ledger.Reconcile,
			Version: versionOf(u.result.Plan.Base, chunk),
		})
		if partly, ok := errors.AsType[*tasks.EnqueueError](err); err == nil || ok && partly.Users > 0 {
			u.result.Jobs = append(u.result.Jobs, job)
		}
		if err != nil {
			return fmt.Errorf("reconcile: %w; run it again for the rest", err)
		}
	}
	return nil
}

func (u *run) adopt(ctx context.Context, changes []Change) error {
	for _, chunk := range chunks(changes) {
		if err := u.lease.check(ctx); err != nil {
			return err
		}
		entries := make([]ledger.Entry, len(chunk))
		for i, c := range chunk {
			entries[i] = ledger.Entry{User: c.User, Version: c.Seen, WaID: c.WaID}
		}
		n, err := u.ledger.Adopt(ctx, versionOf(u.result.Plan.Base, chunk), entries)
		u.result.Adopted += n
		if err != nil {
			return fmt.Errorf("reconcile: %w; run it again for the rest", err)
		}
	}
	return nil
}

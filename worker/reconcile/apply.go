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
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// backdate bounds how far before the base a run's changes are ordered: a request of
// that time that is not in the ledger yet wins over them.
const backdate = time.Hour

// applier enqueues changes of a plan, and counts them in its result.
type applier struct {
	producer *tasks.Producer
	ledger   *ledger.Ledger
	lease    *lease
	base     ledger.Version
	result   *Result
}

// requester names the reconciliation in its jobs.
const requester = "reconcile"

func (a *applier) enqueue(ctx context.Context, op ledger.Operation, chunks [][]plan.Change) error {
	for _, chunk := range chunks {
		if err := a.lease.renew(ctx); err != nil {
			return err
		}
		byEnd, err := a.byEnd(ctx, op, chunk)
		if err != nil {
			return err
		}
		for _, end := range slices.Sorted(maps.Keys(byEnd)) {
			if err := a.enqueueChunk(ctx, op, byEnd[end], end); err != nil {
				return err
			}
		}
	}
	return nil
}

// byEnd parts changes by when the timed blocks that they repair end, in Unix milliseconds, 0 for never: the
// block that is put back ends with the one that was asked for.
func (a *applier) byEnd(ctx context.Context, op ledger.Operation, chunk []plan.Change) (map[int64][]plan.Change, error) {
	if op == ledger.Unblock {
		return map[int64][]plan.Change{0: chunk}, nil
	}
	users := make([]user.ID, len(chunk))
	for i, c := range chunk {
		users[i] = c.User
	}
	entries, err := a.ledger.Entries(ctx, users)
	if err != nil {
		return nil, err
	}
	now := time.Now().UnixMilli()
	parts := map[int64][]plan.Change{}
	for i, c := range chunk {
		end := int64(0)
		if e := entries[i]; e.Operation == ledger.Block && e.Version == c.Seen && e.Job.Ends > now {
			end = e.Job.Ends
		}
		parts[end] = append(parts[end], c)
	}
	return parts, nil
}

func (a *applier) enqueueChunk(ctx context.Context, op ledger.Operation, chunk []plan.Change, end int64) error {
	users := make([]user.ID, len(chunk))
	for i, c := range chunk {
		users[i] = c.User
	}
	r := tasks.Request{
		Operation: op, Users: users, PhoneNumberID: a.ledger.PhoneNumberID(), Queue: ledger.Reconcile,
		Version: versionOf(a.base, chunk), Requester: requester, Reason: "reconciliation with the desired list",
	}
	if end > 0 {
		r.Until = time.UnixMilli(end)
	}
	job, err := a.producer.Enqueue(ctx, r)
	if partly, ok := errors.AsType[*tasks.EnqueueError](err); err == nil || ok && partly.Users > 0 {
		a.result.Jobs = append(a.result.Jobs, job)
	}
	if err != nil {
		return fmt.Errorf("reconcile: %w; run it again for the rest", err)
	}
	return nil
}

func (a *applier) adopt(ctx context.Context, changes []plan.Change) error {
	for _, chunk := range chunks(changes) {
		if err := a.lease.renew(ctx); err != nil {
			return err
		}
		entries := make([]ledger.Entry, len(chunk))
		for i, c := range chunk {
			entries[i] = ledger.Entry{User: c.User, Version: c.Seen, WaID: c.WaID}
		}
		n, err := a.ledger.Adopt(ctx, versionOf(a.base, chunk), entries)
		a.result.Adopted += n
		if err != nil {
			return fmt.Errorf("reconcile: %w; run it again for the rest", err)
		}
	}
	return nil
}

// chunks returns changes in the size of a task, those with the oldest records together.
func chunks(changes []plan.Change) [][]plan.Change {
	sorted := slices.SortedStableFunc(slices.Values(changes), func(a, b plan.Change) int { return cmp.Compare(a.Seen, b.Seen) })
	return slices.Collect(slices.Chunk(sorted, queues.MaxUsersPerTask))
}

// exactChunks returns chunks of changes with the same version: an unblock must not be newer
// than it has to be because of another user in its chunk. A request that was accepted already,
// and is not marked yet because its producer stalled, wins over it.
func exactChunks(base ledger.Version, changes []plan.Change) [][]plan.Change {
	byVersion := map[ledger.Version][]plan.Change{}
	for _, c := range changes {
		v := versionOf(base, []plan.Change{c})
		byVersion[v] = append(byVersion[v], c)
	}
	var all [][]plan.Change
	for _, v := range slices.Sorted(maps.Keys(byVersion)) {
		all = append(all, chunks(byVersion[v])...)
	}
	return all
}

// versionOf returns the version of a chunk: above every record that it is based on, and
// otherwise as far in the past as possible. It is never above the base.
func versionOf(base ledger.Version, chunk []plan.Change) ledger.Version {
	v := max(1, base-ledger.Version(backdate.Microseconds()))
	for _, c := range chunk {
		v = max(v, c.Seen+1)
	}
	return v
}

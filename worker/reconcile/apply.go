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
		users := make([]user.ID, len(chunk))
		for i, c := range chunk {
			users[i] = c.User
		}
		job, err := a.producer.Enqueue(ctx, tasks.Request{
			Operation: op, Users: users, PhoneNumberID: a.ledger.PhoneNumberID(), Queue: ledger.Reconcile,
			Version: versionOf(a.base, chunk), Requester: requester, Reason: "reconciliation with the desired list",
		})
		if partly, ok := errors.AsType[*tasks.EnqueueError](err); err == nil || ok && partly.Users > 0 {
			a.result.Jobs = append(a.result.Jobs, job)
		}
		if err != nil {
			return fmt.Errorf("reconcile: %w; run it again for the rest", err)
		}
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

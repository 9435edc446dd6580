package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// changing is a source whose list is what it is at the moment.
type changing struct{ users []user.ID }

func (*changing) Name() string { return "a test" }
func (*changing) ID() string   { return "changing" }
func (c *changing) Read(context.Context) (source.List, error) {
	return source.List{Users: c.users}, nil
}

// TestDesiredDuringTheListing has another program that puts a user on the desired list, and
// then blocks, while a run lists; and one that takes a user off.
func TestDesiredDuringTheListing(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 50)...)
		source := &changing{users: nums(0, 50)}
		target := w.target(source)
		api := &between{API: w.api}
		api.before = func() {
			source.users = nums(1, 51) // less 0, plus 50
			w.foreign(ledger.Block, num(50))
			api.before = nil
		}
		target.API = api
		p := w.run(target, reconcile.Options{}).Plan
		if len(p.ToUnblock) > 0 || len(p.ToBlock) > 0 || p.Desired != 50 || p.LeftAlone != 1 {
			t.Errorf("%d to unblock, %d to block, %d desired, %d left alone", len(p.ToUnblock), len(p.ToBlock), p.Desired, p.LeftAlone)
		}
		if d := cmp.Diff(names(nums(0, 1)), changes(w.run(target, reconcile.Options{}).Plan.ToUnblock)); d != "" {
			t.Errorf("the next run: %s", d)
		}
	})
}

// TestReaderIsReadOnce compares with what a reader gave, though the run asks twice.
func TestReaderIsReadOnce(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 2)...)
		p := w.run(w.target(source.Reader("standard input", strings.NewReader(num(0).Reveal()), numbers.Options{})), reconcile.Options{}).Plan
		if d := cmp.Diff(names(nums(1, 2)), changes(p.ToUnblock)); d != "" || p.Desired != 1 {
			t.Error(d)
		}
	})
}

// TestStandsStill lets a process stand still between deciding and enqueueing, for longer than
// its lease lasts.
func TestStandsStill(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 50)...)
		res, err := w.runner.Run(t.Context(), w.target(fixed(nums(1, 51))), reconcile.Options{Apply: true, Expect: func(*plan.Plan) error {
			return w.rdb.Del(t.Context(), "wablock:{"+phoneNumberID+"}:reconcile:lease").Err()
		}})
		if err == nil || len(res.Jobs) > 0 {
			t.Errorf("%d jobs, %v", len(res.Jobs), err)
		}
	})
}

// TestStandingProducer accepts a request whose producer stands still between taking its version
// and enqueueing, all through a run that unblocks its user among others.
func TestStandingProducer(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 60)...)
		v, err := w.ledger.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.enqueue(ledger.Block, num(59)) // the other one's record is newer than that
		w.work()
		w.believe(fixed{}, 60)
		if res := w.run(w.target(fixed(nums(0, 58))), reconcile.Options{Apply: true}); !res.Applied || len(res.Plan.ToUnblock) != 2 {
			t.Fatalf("guards %v, %d to unblock", res.Violations, len(res.Plan.ToUnblock))
		}
		if _, err := w.ledger.Mark(t.Context(), []ledger.Request{{User: num(58), Operation: ledger.Block, Queue: ledger.Bulk, Version: v}}); err != nil {
			t.Fatal(err)
		}
		w.work()
		if d := cmp.Diff(waIDs(nums(0, 59)), w.listed()); d != "" {
			t.Error(d)
		}
	})
}

// TestWithdraws lets an unblock wait until its user is desired.
func TestWithdraws(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 60)...)
		w.believe(fixed{}, 60)
		if res := w.run(w.target(fixed(nums(0, 58))), reconcile.Options{Apply: true}); !res.Applied {
			t.Fatalf("guards %v", res.Violations)
		}
		res := w.run(w.target(fixed(nums(0, 59))), reconcile.Options{Apply: true})
		if res.Plan.After() != 60 || !res.Applied {
			t.Errorf("%d users when all is done, guards %v", res.Plan.After(), res.Violations)
		}
		w.work()
		if d := cmp.Diff(waIDs(nums(0, 59)), w.listed()); d != "" {
			t.Error(d)
		}
	})
}

// TestApprovalHoldsOnce meets the very plan again that was approved: its records are forgotten,
// and another console has blocked the same users again.
func TestApprovalHoldsOnce(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 60)...)
		target := w.target(fixed(nums(0, 40)))
		approve := reconcile.Options{Apply: true, Approve: w.run(target, reconcile.Options{}).Plan.Hash}
		for i, want := range []error{nil, reconcile.ErrStale} {
			if _, err := w.runner.Run(t.Context(), target, approve); !errors.Is(err, want) {
				t.Errorf("approved for the time %d: %v", i+1, err)
			}
			w.work()
			if err := w.rdb.Del(t.Context(), "wablock:{"+phoneNumberID+"}:users").Err(); err != nil {
				t.Fatal(err)
			}
			if _, err := asynq.NewInspectorFromRedisClient(w.rdb).DeleteAllPendingTasks(string(ledger.Reconcile)); err != nil {
				t.Fatal(err)
			}
			w.foreign(ledger.Block, nums(40, 60)...)
		}
		if p := w.run(target, reconcile.Options{}).Plan; p.Hash != approve.Approve {
			t.Errorf("the plan did not come again: %s, %s", p.Hash, approve.Approve)
		}
	})
}

// TestAdoptBelievesNoShrunkList adopts by half a list, and then enforces it.
func TestAdoptBelievesNoShrunkList(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 10)...)
		target := w.target(&changing{users: nums(0, 10)})
		target.Mode = plan.Adopt
		w.run(target, reconcile.Options{Apply: true})
		target.Source = &changing{users: nums(0, 4)}
		w.run(target, reconcile.Options{Apply: true})
		target.Mode = plan.Enforce
		if res := w.run(target, reconcile.Options{}); len(res.Violations) != 2 || res.Violations[1].Guard != plan.GuardShrunk {
			t.Errorf("%+v", res.Violations)
		}
	})
}

// TestPutOffBlock leaves a user on the list that a job will block tomorrow: by then a block
// might fail.
func TestPutOffBlock(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 50)...)
		for n, op := range map[int]ledger.Operation{47: ledger.Block, 48: ledger.Unblock, 60: ledger.Block} {
			if _, err := w.producer.Enqueue(t.Context(), tasks.Request{Operation: op, Users: nums(n, n+1), Delay: 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		p := w.run(w.target(fixed(append(nums(0, 47), num(60)))), reconcile.Options{}).Plan
		if d := cmp.Diff(names(nums(48, 50)), changes(p.ToUnblock)); d != "" || p.LeftAlone != 1 {
			t.Errorf("to unblock: %s, left alone %d", d, p.LeftAlone)
		}
		if d := cmp.Diff(names(nums(60, 61)), changes(p.ToBlock)); d != "" {
			t.Errorf("to block: %s", d)
		}
	})
}

package reconcile_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/plan"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// TestProtectedAreNotBlocked: protected users are left out of a plan, under any of their names.
func TestProtectedAreNotBlocked(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		brazil, err := user.FromCanonical("+5511987654321")
		if err != nil {
			t.Fatal(err)
		}
		w.seed(nums(0, 1)...)
		desired := fixed(append(nums(0, 6), brazil))
		w.believe(desired, 1)
		staff, err := user.FromCanonical("+551187654321")
		if err == nil {
			err = protect.Add(t.Context(), w.rdb, phoneNumberID, append(nums(0, 3), staff), "staff", "ana")
		}
		if err == nil {
			err = protect.Add(t.Context(), w.rdb, "", nums(2, 4), "customers", "ana")
		}
		if err != nil {
			t.Fatal(err)
		}
		res := w.run(w.target(desired), reconcile.Options{Apply: true})
		p := res.Plan
		if d := cmp.Diff(names(nums(4, 6)), changes(p.ToBlock)); d != "" || p.Protected != 4 || p.LikelyToFail != 2 || p.After() != 3 || res.Record.Protected != 4 {
			t.Errorf("%s; %d protected, %d likely to fail, %d after", d, p.Protected, p.LikelyToFail, p.After())
		}
		if len(res.Jobs) != 1 || res.Jobs[0].Accepted != 2 {
			t.Errorf("the jobs are %+v", res.Jobs)
		}
	})
}

func TestConverges(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(5, 105)...)
		desired := fixed(nums(0, 100))
		w.believe(desired, 100)
		plan := w.run(w.target(desired), reconcile.Options{})
		if d := cmp.Diff(names(nums(0, 5)), changes(plan.Plan.ToBlock)); d != "" {
			t.Errorf("to block: %s", d)
		}
		if d := cmp.Diff(names(nums(100, 105)), changes(plan.Plan.ToUnblock)); d != "" {
			t.Errorf("to unblock: %s", d)
		}
		if plan.Applied || len(plan.Jobs) > 0 || plan.Plan.LikelyToFail != 5 || plan.Plan.After() != 100 {
			t.Errorf("%+v", plan)
		}
		res := w.run(w.target(desired), reconcile.Options{Apply: true})
		if !res.Applied || len(res.Violations) > 0 || len(res.Jobs) != 2 {
			t.Errorf("applied %v, guards %v, %d jobs", res.Applied, res.Violations, len(res.Jobs))
		}
		for _, j := range res.Jobs {
			if j.Queue != ledger.Reconcile || j.Version > res.Plan.Base {
				t.Errorf("job in %s, version %d above the base %d", j.Queue, j.Version, res.Plan.Base)
			}
		}
		if again := w.run(w.target(desired), reconcile.Options{}).Plan; !empty(again) || again.LeftAlone != 10 {
			t.Errorf("what waits is planned again: %+v", again)
		}
		w.work()
		if d := cmp.Diff(waIDs(nums(0, 100)), w.listed()); d != "" {
			t.Error(d)
		}
		if again := w.run(w.target(desired), reconcile.Options{}).Plan; !empty(again) || again.LeftAlone != 0 {
			t.Errorf("%+v", again)
		}
		if ids := w.run(w.target(source.Ledger()), reconcile.Options{}).Plan; ids.Desired != 5 || len(ids.ToUnblock) != 0 || ids.Unknown != 95 {
			t.Errorf("the ledger wants %d", ids.Desired)
		}
	})
}

// TestMeanwhileWins asks for the opposite of what a plan is about to do, between the moments
// of a run, and before anything of it is carried out.
func TestMeanwhileWins(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 60)...)
		target := w.target(source.Ledger())
		wanted := nums(0, 58)
		w.believe(target.Source, 60)
		w.enqueue(ledger.Block, append(wanted, num(100), num(101))...)
		w.enqueue(ledger.Unblock, nums(58, 60)...)
		w.work()
		w.foreign(ledger.Unblock, num(100), num(101))
		w.foreign(ledger.Block, nums(58, 60)...)
		// Between plan and enqueueing: the opposite, asked for by a producer.
		res := w.run(target, reconcile.Options{Apply: true, Expect: func(p *plan.Plan) error {
			if d := cmp.Diff(names(nums(58, 60)), changes(p.ToUnblock)); d != "" {
				t.Errorf("to unblock: %s", d)
			}
			if d := cmp.Diff(names(nums(100, 102)), changes(p.ToBlock)); d != "" {
				t.Errorf("to block: %s", d)
			}
			w.enqueue(ledger.Block, num(58))
			w.enqueue(ledger.Unblock, num(100))
			return nil
		}})
		if !res.Applied {
			t.Fatalf("guards: %v", res.Violations)
		}
		w.work()
		if d := cmp.Diff(waIDs(append(wanted, num(58), num(101))), w.listed()); d != "" {
			t.Errorf("a request that came in meanwhile lost: %s", d)
		}
	})
}

// TestUnmarked leaves a request alone that the ledger was never told of: its producer died, and
// no worker has come by.
func TestUnmarked(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 30)...)
		w.enqueue(ledger.Block, num(29))
		if err := w.rdb.Del(t.Context(), "wablock:{"+phoneNumberID+"}:users").Err(); err != nil {
			t.Fatal(err)
		}
		p := w.run(w.target(fixed(nums(0, 29))), reconcile.Options{}).Plan
		if len(p.ToUnblock) != 0 || p.LeftAlone != 1 {
			t.Errorf("to unblock %d, left alone %d", len(p.ToUnblock), p.LeftAlone)
		}
	})
}

func TestGuardsAndApproval(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 100)...)
		w.run(w.target(fixed(nums(0, 100))), reconcile.Options{Apply: true})
		half := append(fixed(nums(0, 40)), num(200))
		res := w.run(w.target(half), reconcile.Options{Apply: true})
		var guards []plan.Guard
		for _, v := range res.Violations {
			guards = append(guards, v.Guard)
		}
		if d := cmp.Diff([]plan.Guard{plan.GuardShare, plan.GuardShrunk}, guards); d != "" || res.Applied || res.Record.Good() {
			t.Errorf("%s, applied %v", d, res.Applied)
		}
		w.work()
		if d := cmp.Diff(waIDs(append(nums(0, 100), num(200))), w.listed()); d != "" {
			t.Errorf("only the block was to be done: %s", d)
		}
		if _, err := w.runner.Run(t.Context(), w.target(half), reconcile.Options{Apply: true, Approve: "another"}); !errors.Is(err, reconcile.ErrStale) {
			t.Errorf("another plan's approval: %v", err)
		}
		if again := w.run(w.target(half), reconcile.Options{Apply: true}); again.Plan.Hash != res.Plan.Hash || len(again.Violations) != 2 {
			t.Errorf("a list that shrank is believed the second time: %v", again.Violations)
		}
		approved := w.run(w.target(half), reconcile.Options{Apply: true, Approve: res.Plan.Hash})
		if !approved.Applied || !approved.Approved {
			t.Errorf("%+v", approved)
		}
		w.work()
		if d := cmp.Diff(waIDs(half), w.listed()); d != "" {
			t.Error(d)
		}
		w.foreign(ledger.Block, nums(40, 100)...)
		if _, err := w.runner.Run(t.Context(), w.target(half), reconcile.Options{Apply: true, Approve: res.Plan.Hash}); !errors.Is(err, reconcile.ErrStale) {
			t.Errorf("an approval held twice: %v", err)
		}
		runs, err := reconcile.History(t.Context(), w.rdb, phoneNumberID, 10)
		if err != nil || len(runs) != 6 || runs[1].Unblocks != 60 || runs[1].Hash != res.Plan.Hash || runs[4].Unblocks != 0 || runs[4].Blocks != 1 {
			t.Errorf("history: %+v, %v", runs, err)
		}
	})
}

func TestAdopts(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 50)...)
		target := w.target(source.Ledger())
		target.Mode = plan.Adopt
		res := w.run(target, reconcile.Options{Apply: true})
		if res.Adopted != 50 || len(res.Jobs) != 0 || !res.Applied {
			t.Errorf("%d adopted, %d jobs", res.Adopted, len(res.Jobs))
		}
		entries, err := w.ledger.Entries(t.Context(), nums(0, 1))
		if err != nil || entries[0].State != ledger.Succeeded || entries[0].WaID != num(0).Reveal()[1:] {
			t.Errorf("%+v, %v", entries, err)
		}
		target.Mode = plan.Enforce
		w.foreign(ledger.Unblock, num(7))
		p := w.run(target, reconcile.Options{}).Plan
		if d := cmp.Diff(names(nums(7, 8)), changes(p.ToBlock)); d != "" || len(p.ToUnblock) > 0 {
			t.Errorf("%s, %d to unblock", d, len(p.ToUnblock))
		}
	})
}

// TestHolds lists while our own writes never rest: after two restarts they must.
func TestHolds(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{Listing: simulator.Listing{MaxLimit: 25}}, func(t *testing.T, w *world) {
		w.seed(nums(0, 100)...)
		api := &between{API: w.api}
		n := 0
		api.before = func() { // a lane that claims whenever it may
			n++
			w.enqueue(ledger.Block, num(1000+n))
			w.work()
		}
		target := w.target(fixed(nums(0, 2000)))
		target.API = api
		res := w.run(target, reconcile.Options{})
		if res.Plan.Actual < 100 || api.pages < 6 {
			t.Errorf("%d listed in %d pages", res.Plan.Actual, api.pages)
		}
		api.before()
		if b, err := w.ledger.Backlog(t.Context()); err != nil || !b.Empty() {
			t.Errorf("the hold stays: %+v, %v", b, err)
		}
	})
}

func TestNeverQuiet(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{
		Listing: simulator.Listing{MaxLimit: 25},
		Faults:  []simulator.Fault{{Operations: []simulator.Operation{simulator.List}, WithCursor: true, Effect: simulator.EffectListChanged}},
	}, func(t *testing.T, w *world) {
		w.seed(nums(0, 100)...)
		res, err := w.runner.Run(t.Context(), w.target(fixed(nums(0, 1))), reconcile.Options{Apply: true})
		if !errors.Is(err, listing.ErrUnstable) || len(res.Jobs) != 0 {
			t.Errorf("%v", err)
		}
		runs, err := reconcile.History(t.Context(), w.rdb, phoneNumberID, 10)
		if err != nil || len(runs) != 1 || runs[0].Error == "" || runs[0].Good() {
			t.Errorf("%+v, %v", runs, err)
		}
		if n, err := w.rdb.Exists(t.Context(), "wablock:{"+phoneNumberID+"}:hold", "wablock:{"+phoneNumberID+"}:reconcile:lease").Result(); n != 0 || err != nil {
			t.Errorf("%d of hold and lease stay, %v", n, err)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.run(w.target(fixed(nums(0, 1))), reconcile.Options{Apply: true, Expect: func(*plan.Plan) error {
			if _, err := w.newRunner(nil).Run(t.Context(), w.target(fixed(nums(0, 1))), reconcile.Options{}); !errors.Is(err, reconcile.ErrRunning) {
				t.Errorf("a second run: %v", err)
			}
			if _, err := w.runner.Keep(t.Context(), phoneNumberID); !errors.Is(err, reconcile.ErrRunning) {
				t.Errorf("housekeeping during a run: %v", err)
			}
			return nil
		}})
	})
}

func TestKeep(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		now, err := w.ledger.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ago := func(d time.Duration) ledger.Version { return now - ledger.Version(d.Microseconds()) }
		mark := func(v ledger.Version, op ledger.Operation, users ...user.ID) {
			requests := make([]ledger.Request, len(users))
			for i, u := range users {
				requests[i] = ledger.Request{User: u, Operation: op, Queue: ledger.Bulk, Version: v}
			}
			if _, err := w.ledger.Mark(t.Context(), requests); err != nil {
				t.Fatal(err)
			}
		}
		mark(ago(time.Hour), ledger.Block, nums(0, 900)...) // no task has them
		mark(ago(time.Second), ledger.Block, num(5000))     // not missed yet
		job := w.enqueue(ledger.Unblock, num(6000))         // has a task
		mark(ago(time.Hour), ledger.Block, num(7000))       // asked for by the same version, too
		w.set(num(8000), "u s b 0 1 - 16502008000 1000 0")  // unblocked in 1970
		w.set(num(8001), "b s b 0 1 - 16502008001 1000 0")  // blocked in 1970
		if _, err := w.runner.Keep(t.Context(), phoneNumberID); err != nil {
			t.Fatal(err)
		}
		var users []string
		for p, err := range queues.Live(t.Context(), w.rdb, phoneNumberID) {
			if err != nil {
				t.Fatal(err)
			}
			if p.JobID != job.ID && p.Version != ago(time.Hour) {
				t.Errorf("enqueued at version %d", p.Version)
			}
			users = append(users, names(p.Users)...)
		}
		want := names(append(nums(0, 900), num(6000), num(7000)))
		slices.Sort(want)
		slices.Sort(users)
		if d := cmp.Diff(want, users); d != "" {
			t.Error(d)
		}
		entries, err := w.ledger.Entries(t.Context(), []user.ID{num(8000), num(8001)})
		if err != nil || entries[0].State != ledger.Unknown || entries[1].State != ledger.Succeeded {
			t.Errorf("%v %v %v", entries[0].State, entries[1].State, err)
		}
		if _, err := w.runner.Keep(t.Context(), phoneNumberID); err != nil {
			t.Fatal(err)
		}
		again := 0
		for range queues.Live(t.Context(), w.rdb, phoneNumberID) {
			again++
		}
		if again != 2 {
			t.Errorf("%d tasks after another pass, want 2", again)
		}
	})
}

// set writes a record as it stands in Redis.
func (w *world) set(u user.ID, record string) {
	w.t.Helper()
	if err := w.rdb.HSet(w.t.Context(), "wablock:{"+phoneNumberID+"}:users", u.Reveal(), record).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func TestReportChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.seed(nums(0, 100)...)
		target := w.target(fixed(nums(50, 150)))
		target.Mode = plan.Report
		res := w.run(target, reconcile.Options{Apply: true, Trigger: reconcile.BySchedule})
		if len(res.Jobs) > 0 || res.Applied || len(res.Violations) == 0 || !res.Record.Good() {
			t.Errorf("%+v", res.Record)
		}
		if res.Record.ToBlock != 50 || res.Record.ToUnblock != 50 {
			t.Errorf("%+v", res.Record)
		}
	})
}

// TestLostData flushes Redis, as after a restore without its data, and then has one block: what the
// ledger forgot is not a wish.
func TestLostData(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.enqueue(ledger.Block, nums(0, 12)...)
		w.work()
		fromLedger, file := w.target(source.Ledger()), w.target(fixed(nums(12, 14)))
		w.run(fromLedger, reconcile.Options{Apply: true})
		if err := w.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		w.enqueue(ledger.Block, num(12))
		w.work()
		for _, target := range []reconcile.Target{fromLedger, file} {
			res := w.run(target, reconcile.Options{Apply: true})
			w.work()
			if len(res.Violations) == 0 || res.Violations[0].Guard != plan.GuardFirst || res.Applied || res.Record.Good() {
				t.Errorf("%+v", res.Record)
			}
		}
		if d := cmp.Diff(waIDs(nums(0, 14)), w.listed()); d != "" {
			t.Errorf("unblocked: %s", d)
		}
		// Approved once, the ledger is believed; who it knows nothing of stays.
		res := w.run(fromLedger, reconcile.Options{})
		w.run(fromLedger, reconcile.Options{Apply: true, Approve: res.Plan.Hash})
		if res := w.run(fromLedger, reconcile.Options{Apply: true}); len(res.Violations) > 0 || !res.Applied || res.Plan.Unknown != 12 {
			t.Errorf("%+v", res.Record)
		}
		// A saved plan was looked at.
		if res := w.run(file, reconcile.Options{Apply: true, Reviewed: true}); len(res.Violations) != 1 || res.Violations[0].Guard != plan.GuardShare {
			t.Errorf("%+v", res.Record)
		}
	})
}

// TestOwn leaves users alone who were blocked elsewhere.
func TestOwn(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.enqueue(ledger.Block, nums(0, 51)...)
		w.work()
		w.foreign(ledger.Block, nums(51, 60)...)
		target := w.target(fixed(nums(0, 50)))
		target.Mode = plan.Own
		if res := w.run(target, reconcile.Options{Apply: true}); !res.Applied || len(res.Plan.ToUnblock) != 1 || len(res.Plan.Ambiguous) != 9 {
			t.Errorf("%+v", res.Record)
		}
		w.work()
		if d := cmp.Diff(waIDs(append(nums(0, 50), nums(51, 60)...)), w.listed()); d != "" {
			t.Error(d)
		}
	})
}

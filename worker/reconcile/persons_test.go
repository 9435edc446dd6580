package reconcile_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// named is a scenario in which everyone has a BSUID, and is listed by it alone or with both names.
func named(alone bool) simulator.Scenario {
	return simulator.Scenario{UserIDs: true, Listing: simulator.Listing{UserIDsAlone: alone}}
}

func bsuidOf(waID string) string { return "US.7" + waID }

// TestListedByBSUIDAlone enforces a desired list of numbers over a listing that shows BSUIDs alone: no desired user is
// unblocked, whether it is desired by number or BSUID, by a file or by the ledger.
func TestListedByBSUIDAlone(t *testing.T) {
	t.Parallel()
	each(t, named(true), func(t *testing.T, w *world) {
		all := nums(0, 110)
		for _, u := range all { // the last ten are blocked by another program
			if _, err := w.api.Block(t.Context(), phoneNumberID, []user.ID{u}); err != nil {
				t.Fatal(err)
			}
		}
		desired := fixed(slices.Clone(all[:100]))
		for i := range 50 { // desired by their other name
			desired[i] = tasksID(t, bsuidOf(all[i].Reveal()[1:]))
		}
		target := w.target(desired)
		w.believe(desired, 100)

		unknown := w.run(target, reconcile.Options{Apply: true, Reviewed: true})
		if got := changes(unknown.Plan.ToUnblock); len(got) > 0 {
			t.Errorf("unblocks of users who are not known: %v", got)
		}
		w.work() // blocks those again who are desired by number, which changes nothing
		if got := len(w.listed()); got != 110 {
			t.Errorf("%d are on the list", got)
		}
		pairs := make([]tasks.Told, 0, len(all))
		for _, u := range all[:105] {
			waID := u.Reveal()[1:]
			pairs = append(pairs, tasks.Told{WaID: waID, UserID: bsuidOf(waID)})
		}
		if _, err := w.producer.Learn(t.Context(), phoneNumberID, pairs...); err != nil {
			t.Fatal(err)
		}
		res := w.run(target, reconcile.Options{Apply: true})
		if len(res.Plan.ToBlock) != 0 || len(res.Violations) > 0 {
			t.Errorf("to block %v, guards %v", changes(res.Plan.ToBlock), res.Violations)
		}
		if d := cmp.Diff(names(all[100:105]), changes(res.Plan.ToUnblock)); d != "" {
			t.Errorf("to unblock: %s", d)
		}
		if len(res.Plan.Ambiguous) != 5 {
			t.Errorf("%d of 5 strangers are ambiguous", len(res.Plan.Ambiguous))
		}
		w.work()
		if got := len(w.listed()); got != 105 {
			t.Errorf("%d are on the list", got)
		}
	})
}

// TestListingTeachesNames learns in one run what the next one needs, from a desired list of the ledger.
func TestListingTeachesNames(t *testing.T) {
	t.Parallel()
	each(t, named(false), func(t *testing.T, w *world) {
		target := w.target(source.Ledger())
		for i := range 20 {
			if _, err := w.producer.Block(t.Context(), []string{nums(i, i+1)[0].Reveal()}); err != nil {
				t.Fatal(err)
			}
		}
		w.work()
		w.run(target, reconcile.Options{Apply: true, Reviewed: true})
		if err := w.sim.SetScenario(named(true)); err != nil {
			t.Fatal(err)
		}
		if p := w.run(target, reconcile.Options{}).Plan; !empty(p) || p.Desired != 20 || len(p.Ambiguous) != 0 {
			t.Errorf("%d to block, %d to unblock, %d ambiguous of %d", len(p.ToBlock), len(p.ToUnblock), len(p.Ambiguous), p.Desired)
		}
		s, err := w.producer.Status(t.Context(), bsuidOf(nums(3, 4)[0].Reveal()[1:]))
		if err != nil || s.State != ledger.Succeeded {
			t.Errorf("under the name that was learnt: %+v, %v", s, err)
		}
	})
}

// TestChangeOfNumberIsNoStranger enforces the desired list of the ledger after a desired user has changed the number: the
// entry under the new name, by its BSUID alone, is left on the list.
func TestChangeOfNumberIsNoStranger(t *testing.T) {
	t.Parallel()
	for _, follows := range []bool{false, true} { // what Meta does with the entry is not known
		sc := named(true)
		sc.Blocking.FollowsUser = follows
		each(t, sc, func(t *testing.T, w *world) {
			w.enqueue(ledger.Block, nums(0, 20)...)
			w.work()
			old, next := num(3).Reveal()[1:], num(300).Reveal()[1:]
			told := []tasks.Told{{WaID: old, UserID: bsuidOf(old)}}
			if _, err := w.producer.Learn(t.Context(), phoneNumberID, told...); err != nil {
				t.Fatal(err)
			}
			if err := w.sim.UserChanged(phoneNumberID, "+"+old, simulator.Change{User: "+" + next}); err != nil {
				t.Fatal(err)
			}
			change := tasks.Told{WaID: next, UserID: bsuidOf(next), PreviousWaID: old, PreviousUserID: bsuidOf(old)}
			if _, err := w.producer.Learn(t.Context(), phoneNumberID, change); err != nil {
				t.Fatal(err)
			}
			w.work()
			res := w.run(w.target(source.Ledger()), reconcile.Options{Apply: true, Reviewed: true})
			if got := changes(res.Plan.ToUnblock); len(got) > 0 {
				t.Errorf("follows %v: to unblock %v", follows, got)
			}
			w.work()
			if !slices.Contains(w.listed(), next) {
				t.Errorf("follows %v: the new number is not on the list", follows)
			}
		})
	}
}

func tasksID(t *testing.T, name string) user.ID {
	t.Helper()
	id, err := user.FromCanonical(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

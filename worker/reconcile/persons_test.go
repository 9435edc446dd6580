package reconcile_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/listing"
	"github.com/wablock/wablock/worker/reconcile/source"
)

// byID lists each user by its BSUID, and with both names where both is set.
type byID struct {
	listing.API
	both bool
}

func bsuidOf(waID string) string { return "US.9" + waID }

func (b *byID) ListPage(ctx context.Context, id string, o client.ListOptions) (*client.Page, error) {
	p, err := b.API.ListPage(ctx, id, o)
	if err != nil {
		return nil, err
	}
	for i, e := range p.Entries {
		p.Entries[i].UserID = bsuidOf(e.WaID)
		if !b.both {
			p.Entries[i].WaID = ""
		}
	}
	return p, nil
}

// TestListedByBSUIDAlone enforces a desired list of numbers over a listing that shows BSUIDs alone: no desired user is
// unblocked, whether it is desired by number or BSUID, by a file or by the ledger.
func TestListedByBSUIDAlone(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		api := &byID{API: w.api}
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
		target.API = api
		w.believe(desired, 100)

		unknown := w.run(target, reconcile.Options{})
		if got := changes(unknown.Plan.ToUnblock); len(got) > 0 {
			t.Errorf("unblocks of users who are not known: %v", got)
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
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		api := &byID{API: w.api, both: true}
		target := w.target(source.Ledger())
		target.API = api
		for i := range 20 {
			if _, err := w.producer.Block(t.Context(), []string{nums(i, i+1)[0].Reveal()}); err != nil {
				t.Fatal(err)
			}
		}
		w.work()
		w.run(target, reconcile.Options{Apply: true, Reviewed: true})
		api.both = false
		if p := w.run(target, reconcile.Options{}).Plan; !empty(p) || p.Desired != 20 || len(p.Ambiguous) != 0 {
			t.Errorf("%d to block, %d to unblock, %d ambiguous of %d", len(p.ToBlock), len(p.ToUnblock), len(p.Ambiguous), p.Desired)
		}
		s, err := w.producer.Status(t.Context(), bsuidOf(nums(3, 4)[0].Reveal()[1:]))
		if err != nil || s.State != ledger.Succeeded {
			t.Errorf("under the name that was learnt: %+v, %v", s, err)
		}
	})
}

func tasksID(t *testing.T, name string) user.ID {
	t.Helper()
	id, err := user.FromCanonical(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

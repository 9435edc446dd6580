package reconcile_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/taskfixture"
)

// TestKeepPutsMissingDeadLetters: the worker that made a user dead died before the dead-letter
// queue had it, and the user's task is gone.
func TestKeepPutsMissingDeadLetters(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		v, err := w.ledger.NextVersion(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ledger.Mark(t.Context(), []ledger.Request{{User: num(1), Operation: ledger.Block, Queue: ledger.Bulk, Version: v}}); err != nil {
			t.Fatal(err)
		}
		c, err := w.ledger.Claim(t.Context(), ledger.ClaimOptions{ID: "c", Max: 1, Timeout: time.Minute})
		if err != nil || len(c.Users) != 1 {
			t.Fatal(c, err)
		}
		if _, err := w.ledger.Settle(t.Context(), c.ID, []ledger.Settlement{{
			User: num(1), Version: v, Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047},
		}}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.runner.Keep(t.Context(), phoneNumberID); err != nil {
			t.Fatal(err)
		}
		e, found := taskfixture.Letter(t, deadletter.New(w.rdb), phoneNumberID, num(1))
		if !found || e.Code != 131047 || e.Version != v {
			t.Errorf("%v %+v", found, e)
		}
	})
}

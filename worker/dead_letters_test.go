package worker_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
)

// TestStaleDeadLetterIsRemoved: a worker died after the ledger knew of a user's success, and
// before the user's dead letter was removed. No request names the user again.
func TestStaleDeadLetterIsRemoved(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const number = "+15550131047" // the simulated API refuses its blocks for good
		id, err := user.Parse(number)
		if err != nil {
			t.Fatal(err)
		}
		there := func() bool {
			_, found := taskfixture.Letter(t, w.dead, phoneNumberID, id)
			return found
		}
		stop := w.run()
		if p := w.settled(w.enqueue(ledger.Block, number)); p.DeadLettered != 1 {
			t.Fatalf("%+v", p)
		}
		w.eventually("it is dead-lettered", there)
		stop()
		w.enqueue(ledger.Unblock, number)
		l := ledger.New(w.rdb, phoneNumberID)
		c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: "dies", Max: 1, Timeout: time.Minute})
		if err != nil || len(c.Users) != 1 {
			t.Fatal(c, err)
		}
		if _, err := l.Settle(t.Context(), c.ID, []ledger.Settlement{{User: id, Version: c.Users[0].Version, Do: ledger.Succeed}}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.eventually("its dead letter is removed", func() bool { return !there() })
		if n, err := w.rdb.SCard(t.Context(), "wablock:{"+phoneNumberID+"}:dead").Result(); n != 0 || err != nil {
			t.Errorf("%d are left in the index, %v", n, err)
		}
	})
}

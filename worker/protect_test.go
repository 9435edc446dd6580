package worker_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestProtectedUsers: no call blocks a user who was protected after the request, under whichever spelling; the
// others of the call are blocked, and the protected one may be unblocked.
func TestProtectedUsers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		w := newWorld(t, rdb, simulator.Scenario{})
		staff, err := user.FromCanonical("+5511987654321")
		if err != nil {
			t.Fatal(err)
		}
		job := w.enqueue(ledger.Block, "+16505551234", "+551187654321")
		if err := protect.Add(t.Context(), rdb, "", []user.ID{staff}, "staff", "ana"); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.eventually("all have ended", func() bool { return progress(w, job).Pending == 0 })
		if p := progress(w, job); p.Succeeded != 1 || p.DeadLettered != 1 {
			t.Errorf("%+v", p)
		}
		entries, err := ledger.New(rdb, phoneNumberID).Entries(t.Context(), job.Users)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if f := e.Failure; e.State == ledger.Dead && (f == nil || f.Code != 0 || !strings.Contains(f.Details, "staff")) {
				t.Errorf("%+v", f)
			}
		}
		journal, err := json.Marshal(w.sim.Journal())
		if err != nil || strings.Contains(string(journal), "1187654321") || strings.Contains(string(journal), "11987654321") {
			t.Errorf("the journal shows a protected user: %.500s, %v", journal, err)
		}
		more, err := w.producer.Block(t.Context(), []string{"+5511987654321", "+16505551235"})
		if err != nil || len(more.Rejected) != 1 || more.Accepted != 1 || !strings.Contains(more.Rejected[0].Reason, "staff") {
			t.Errorf("%+v, %v", more, err)
		}
		if _, err := w.producer.Block(t.Context(), []string{"+5511987654321"}); err == nil {
			t.Error("a job of a protected user alone was accepted")
		}
		undo := w.enqueue(ledger.Unblock, "+5511987654321")
		w.eventually("the protected user is unblocked", func() bool { return progress(w, undo).Pending == 0 })
	})
}

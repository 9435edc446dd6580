package worker_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
)

// TestTimedBlocksEnd: blocks that end by themselves, of users whose block succeeded, failed for good, or was
// followed by a newer request.
func TestTimedBlocksEnd(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const alice, bob, carol, refused = "+16505550001", "+16505550002", "+16505550003", "+15550131047"
		begin := time.Now()
		until := begin.Add(4 * time.Second)
		w.run()
		w.settled(w.enqueue(ledger.Block, carol))
		job, err := w.producer.Block(t.Context(), []string{alice, bob, carol, refused}, tasks.WithExpiry(until), tasks.WithReason("spam"))
		if err != nil {
			t.Fatal(err)
		}
		if p := w.settled(job); p.Succeeded != 3 || p.DeadLettered != 1 {
			t.Fatalf("%+v", p)
		}
		if s, err := w.producer.Status(t.Context(), alice); err != nil || !s.Until.Equal(until.Truncate(time.Millisecond)) || s.Reason != "spam" {
			t.Errorf("%+v, %v", s, err)
		}
		w.settled(w.enqueue(ledger.Block, bob)) // without an end
		w.eventually("the others are unblocked", func() bool {
			return cmp.Equal(waIDs([]string{bob}), w.sim.Snapshot(phoneNumberID))
		})
		if took := time.Since(begin); took < 4*time.Second {
			t.Errorf("it ended after %v", took)
		}
		id, err := user.Parse(refused)
		if err != nil {
			t.Fatal(err)
		}
		w.eventually("the dead letter is gone", func() bool {
			_, found := taskfixture.Letter(t, w.dead, phoneNumberID, id)
			return !found
		})
		w.eventually("it is settled", func() bool { return w.entry(alice).State == ledger.Succeeded })
		if e := w.entry(alice); e.Operation != ledger.Unblock || !e.BlockEnded || e.Version != job.Version+1 {
			t.Errorf("%+v", e)
		}
		if s, err := w.producer.Job(t.Context(), job.ID); err != nil || s.Succeeded != 3 || s.DeadLettered != 1 || s.Pending != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if n, err := w.rdb.ZCard(t.Context(), ledger.EndsIndex).Result(); n != 0 || err != nil {
			t.Errorf("%d phone number IDs are in the index, %v", n, err)
		}
	})
}

// TestTimedBlockOutlivesItsWorkers: no worker runs when the block ends, and its producer died before it took note of
// the end: the worker that carried the block out did.
func TestTimedBlockOutlivesItsWorkers(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const alice = "+16505550001"
		job, err := w.producer.Block(t.Context(), []string{alice}, tasks.WithExpiry(time.Now().Add(3*time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.rdb.Del(t.Context(), ledger.EndsIndex).Err(); err != nil {
			t.Fatal(err)
		}
		stop := w.run()
		w.settled(job)
		w.eventually("the end is noted", func() bool { return w.rdb.Exists(t.Context(), ledger.EndsIndex).Val() == 1 })
		stop()
		<-time.After(4 * time.Second)
		if len(w.sim.Snapshot(phoneNumberID)) != 1 {
			t.Error("it ended without a worker")
		}
		w.run()
		w.eventually("it ended", func() bool { return len(w.sim.Snapshot(phoneNumberID)) == 0 })
	})
}

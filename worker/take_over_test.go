package worker_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
)

// dies leaves behind what a worker does that dies while its call is out: its heartbeat and a claim.
func (w *world) dies(claimID string) {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := fleet.NewPulse(w.rdb, "DEAD").Beat(ctx, time.Now()); err != nil {
		w.t.Fatal(err)
	}
	pipe := w.rdb.Pipeline()
	fleet.Serves(ctx, pipe, "DEAD", phoneNumberID, time.Now())
	if _, err := pipe.Exec(ctx); err != nil {
		w.t.Fatal(err)
	}
	c, err := ledger.New(w.rdb, phoneNumberID).Claim(ctx, ledger.ClaimOptions{ID: claimID, Max: 10, Hold: 35 * time.Second})
	if err != nil || len(c.Users) != 2 {
		w.t.Fatalf("%+v, %v", c, err)
	}
}

// TestUsersOfADeadWorker: the operation that was in flight is called for again when the heartbeat is missed, the other one
// when the dead worker's call must have ended. The worker that goes on has never heard of the phone number ID.
func TestUsersOfADeadWorker(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		const same, flips = "+16505550001", "+16505550002"
		block := b.enqueue(ledger.Block, same, flips)
		died := time.Now()
		b.dies("DEAD-1-1")
		unblock := b.enqueue(ledger.Unblock, flips)
		b.run()
		b.settled(block)
		if took := time.Since(died); took > 8*time.Second {
			t.Errorf("the user who is wanted as before is done after %v", took)
		}
		b.settledWithin(unblock, time.Minute)
		if took := time.Since(died); took < 35*time.Second || took > 45*time.Second {
			t.Errorf("the other one is done after %v", took)
		}
		// What is asked for while the dead worker's call may be out still waits for it.
		if n := len(b.sim.Journal()); n != 2 {
			t.Errorf("%d calls, want the repeated block and the unblock", n)
		}
	})
}

// TestWorkerThatIsTakenForDead: one whose heartbeats are lost goes on to work beside one that takes its users over, and
// each request ends once, as the last one wants it.
func TestWorkerThatIsTakenForDead(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(6 * time.Second)}}, func(t *testing.T, b *bubble) {
		b.run()
		b.run()
		// Each worker's count is reset as fast as it goes up, and so seems to stand still.
		ctx, done := t.Context(), make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
					for id := range b.rdb.HGetAll(ctx, "wablock:workers:pulse").Val() {
						b.rdb.HSet(ctx, "wablock:workers:pulse", id, 0)
					}
				}
			}
		}()
		defer close(done)
		var jobs []tasks.Job
		for i := range 10 {
			op := ledger.Block
			if i%2 == 1 {
				op = ledger.Unblock
			}
			jobs = append(jobs, b.enqueue(op, numbersFrom(i%3, 5)...))
			<-time.After(3 * time.Second)
		}
		for _, job := range jobs {
			b.settled(job)
		}
		calls := b.sim.Journal()
		operations := map[int64]simulator.Operation{}
		for _, c := range calls {
			operations[c.Seq] = c.Operation
		}
		same := 0
		for _, o := range simulator.Overlaps(calls) {
			if same++; operations[o.First] != operations[o.Second] {
				t.Fatalf("a user was in two calls of different operations at once: %+v", o)
			}
		}
		if same == 0 {
			t.Error("no call was repeated beside another: the test proves nothing")
		}
	})
}

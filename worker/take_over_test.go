package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
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
	c, err := ledger.New(w.rdb, phoneNumberID).Claim(ctx, ledger.ClaimOptions{ID: claimID, Max: 10, Timeout: 35 * time.Second})
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
		b.cfg.Limiter = redislimit.New(b.rdb, nil)
		died := time.Now()
		// Its call is the limiter's only probe, which is waited for for 10 s.
		if g, err := b.cfg.Limiter.Take(t.Context(), ratelimit.Key{PhoneNumberID: phoneNumberID, Worker: "DEAD"}); err != nil || !g.Phone.Probe {
			t.Fatalf("%+v, %v", g, err)
		}
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

// cutPulse lets the heartbeats of a worker fail after the first one.
type cutPulse struct{ beats atomic.Int32 }

func (c *cutPulse) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (c *cutPulse) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *cutPulse) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "hincrby" && c.beats.Add(1) > 1 {
			return errors.New("cut")
		}
		return next(ctx, cmds)
	}
}

// TestWorkerThatIsTakenForDead: one whose heartbeats fail goes on to work beside one that takes its users over, and
// each request ends as the last one wants it.
func TestWorkerThatIsTakenForDead(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(20 * time.Second)}}, func(t *testing.T, b *bubble) {
		direct, ok := b.rdb.(*redis.Client)
		if !ok {
			t.Fatal("not one Redis")
		}
		cut := redis.NewClient(direct.Options())
		defer func() { _ = cut.Close() }()
		cut.AddHook(new(cutPulse))
		b.cfg.Redis = cut
		first := b.run()
		jobs := []tasks.Job{b.enqueue(ledger.Block, numbersFrom(0, 5)...)}
		<-time.After(2 * time.Second) // its call is out for 20 s
		b.cfg.Redis = b.rdb
		second := b.run()
		for i := range 6 {
			<-time.After(3 * time.Second)
			op := ledger.Unblock
			if i%2 == 1 {
				op = ledger.Block
			}
			jobs = append(jobs, b.enqueue(op, numbersFrom(i%3, 5)...))
		}
		for start := time.Now(); ; <-time.After(time.Second) {
			pending := 0
			for _, job := range jobs {
				p, err := b.producer.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
				if err != nil {
					t.Fatal(err)
				}
				pending += p.Pending
			}
			if pending == 0 {
				break
			}
			if time.Since(start) > 10*time.Minute {
				t.Fatalf("%d users are still pending", pending)
			}
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
		first()
		second()
	})
}

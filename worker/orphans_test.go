package worker_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// orphan leaves a task of one user as a worker does that dies just after it has taken it:
// active, its lease run out, its users not marked. delay is how long before its time that was.
func (w *world) orphan(number string, delay time.Duration) queues.Payload {
	w.t.Helper()
	id, err := user.Parse(number)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx := w.t.Context()
	v, err := ledger.New(w.rdb, phoneNumberID).NextVersion(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	p := queues.Payload{
		JobID: "orphan" + delay.String(), PhoneNumberID: phoneNumberID, Operation: ledger.Block,
		Version: v + ledger.Version(delay.Microseconds()), Delayed: delay > 0,
		Users: []user.ID{id}, Parts: 1, RequestedAt: time.Now(),
	}
	task, err := p.Task()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := asynq.NewClientFromRedisClient(w.rdb).EnqueueContext(ctx, task, asynq.Queue("interactive")); err != nil {
		w.t.Fatal(err)
	}
	const prefix = "asynq:{interactive}:"
	taken, err := w.rdb.RPopLPush(ctx, prefix+"pending", prefix+"active").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, prefix+"t:"+taken, "state", "active")
		p.ZAdd(ctx, prefix+"lease", redis.Z{Member: taken, Score: float64(time.Now().Add(-time.Second - delay).Unix())})
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestOrphansAreSeenTo: asynq would let the task rest until its lease has been out for 30 s, and
// then until its next look, once a minute.
func TestOrphansAreSeenTo(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.orphan("+16505550001", 0)
		w.run()
		start := time.Now()
		w.eventually("the user is blocked", func() bool { return w.entry("+16505550001").State == ledger.Succeeded })
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestEarlyOrphansAreLeftAlone: a delayed task that was run before its time, and whose worker has
// died, is seen before one whose time has come.
func TestEarlyOrphansAreLeftAlone(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.orphan("+16505550001", time.Hour)
		w.orphan("+16505550002", 0)
		w.run()
		w.eventually("the other user is blocked", func() bool { return w.entry("+16505550002").State == ledger.Succeeded })
		if e := w.entry("+16505550001"); e.State != ledger.Unknown {
			t.Errorf("marked as %v an hour early", e.State)
		}
	})
}

// TestOrphansOfTheDead: the worker died, or Redis lost its last second, between a user's end and the dead letter.
func TestOrphansOfTheDead(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		p, l := w.orphan("+16505550001", 0), ledger.New(w.rdb, phoneNumberID)
		_, err := l.Mark(t.Context(), []ledger.Request{{User: p.Users[0], Operation: p.Operation, Queue: ledger.Interactive, Version: p.Version}})
		if err == nil {
			_, err = l.Claim(t.Context(), ledger.ClaimOptions{ID: "dead", Max: 1, Timeout: time.Minute})
		}
		if err == nil {
			_, err = l.Settle(t.Context(), "dead", []ledger.Settlement{{
				User: p.Users[0], Version: p.Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047, Message: "no", At: 1},
			}})
		}
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		w.run()
		w.eventually("the dead letter is there", func() bool {
			n, err := letters(t, w.dead)
			return err == nil && n == 1
		})
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

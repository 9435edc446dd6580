package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// endless is a schedule's run that goes on until its context ends.
type endless struct{ started chan struct{} }

func (e endless) ProcessTask(ctx context.Context, _ *asynq.Task) (time.Duration, string, error) {
	close(e.started)
	<-ctx.Done()
	return time.Second, "it was stopped", nil
}

// TestStopIsBounded: a call that hangs and a reconciliation that goes on are both cut, and one
// does not wait for the other.
func TestStopIsBounded(t *testing.T) {
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		calling := make(chan struct{}, 10)
		s := &stub{do: func(ctx context.Context, users []user.ID) (*client.Result, error) {
			calling <- struct{}{}
			<-ctx.Done()
			return allDone(users), nil
		}}
		s.serve(b.world)
		slots := endless{make(chan struct{})}
		b.cfg.Slots, b.cfg.ShutdownTimeout, b.cfg.RequestTimeout = slots, 10*time.Second, 10*time.Minute
		stop := b.run()
		c := asynq.NewClientFromRedisClient(b.rdb)
		if _, err := c.EnqueueContext(t.Context(), asynq.NewTask(queues.TypeReconcile, nil), asynq.Queue("reconcile")); err != nil {
			t.Fatal(err)
		}
		job := b.enqueue(ledger.Block, numbersFrom(0, 3)...)
		<-slots.started
		<-calling
		start := time.Now()
		stop()
		t.Logf("stopped after %v", time.Since(start))
		if took := time.Since(start); took > 17*time.Second {
			t.Errorf("it took %v to stop", took)
		}
		b.settledWithin(job, 0)
	})
}

package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// countedSlots counts the slots of schedules that ran.
type countedSlots struct{ ran atomic.Int64 }

func (s *countedSlots) ProcessTask(context.Context, *asynq.Task) (time.Duration, string, error) {
	s.ran.Add(1)
	return 0, "", nil
}

// TestConcurrencyOne: with a single handler, a stream of interactive jobs does not keep a schedule's slot waiting for its end.
func TestConcurrencyOne(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(500 * time.Millisecond)}}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		slots := &countedSlots{}
		b.cfg.Concurrency, b.cfg.Slots, b.cfg.Logger = 1, slots, nil
		defer b.run()()
		begun := time.Now()
		for i := range 300 {
			b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
			if i == 20 {
				task := asynq.NewTask(queues.TypeReconcile, []byte("{}"))
				if _, err := asynq.NewClientFromRedisClient(b.rdb).EnqueueContext(t.Context(), task, asynq.Queue("reconcile")); err != nil {
					t.Fatal(err)
				}
				begun = time.Now()
			}
			<-time.After(200 * time.Millisecond)
			if i >= 20 && slots.ran.Load() > 0 {
				t.Logf("after %v", time.Since(begun))
				if time.Since(begun) > 20*time.Second {
					t.Errorf("the slot ran after %v", time.Since(begun))
				}
				return
			}
		}
		t.Error("the slot did not run while there were interactive jobs")
	})
}

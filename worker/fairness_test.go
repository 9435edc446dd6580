package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestInteractiveBlocksStarveNoBulkUnblocks keeps an interactive block waiting before every call. A call carries one
// operation, so that by the queues' order alone no unblock would ever go.
func TestInteractiveBlocksStarveNoBulkUnblocks(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.cfg.Limiter = redislimit.New(w.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 1} })
		bulk, err := w.producer.Unblock(t.Context(), numbersFrom(0, 3), tasks.WithQueue(ledger.Bulk))
		if err != nil {
			t.Fatal(err)
		}
		w.enqueue(ledger.Block, "+16505559999")
		w.run()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range 1500 {
			w.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
			p, err := w.producer.Progress(t.Context(), phoneNumberID, bulk.Version, bulk.Users)
			if err != nil {
				t.Fatal(err)
			}
			if p.Succeeded == len(bulk.Users) {
				return
			}
			<-tick.C
		}
		t.Errorf("after %d calls no unblock has gone", len(w.sim.Journal()))
	})
}

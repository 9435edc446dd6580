package worker_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestClaimWhoseRepliesAllGetLost: its users are called as soon as Redis answers again, not
// when the claim ends.
func TestClaimWhoseRepliesAllGetLost(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		l := &redistest.Lossy{Key: ":hold"} // as claims do
		direct, ok := w.rdb.(*redis.Client)
		if !ok {
			t.Fatal("not one Redis")
		}
		o := *direct.Options()
		o.Dialer = l.Dial
		lossyClient := redis.NewClient(&o)
		t.Cleanup(func() { _ = lossyClient.Close() })
		w.cfg.Redis = lossyClient
		stop := w.run()
		w.settled(w.enqueue(ledger.Block, "+16505550000")) // Redis knows the scripts by then
		l.Lose.Store(int32(o.MaxRetries) + 1)
		if p := w.settled(w.enqueue(ledger.Block, numbersFrom(1, 3)...)); p.Succeeded != 3 {
			t.Errorf("%+v", p)
		}
		if n := l.Lose.Load(); n > 0 {
			t.Errorf("%d replies were to be lost, and came", n)
		}
		if n := len(w.sim.Journal()); n != 2 {
			t.Errorf("%d calls", n)
		}
		stop()
	})
}

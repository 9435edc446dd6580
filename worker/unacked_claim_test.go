package worker_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestClaimWhoseRepliesAllGetLost: its users are called as soon as Redis answers again, not
// when the claim ends.
func TestClaimWhoseRepliesAllGetLost(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		l := &lossy{}
		direct, ok := w.rdb.(*redis.Client)
		if !ok {
			t.Fatal("not one Redis")
		}
		o := *direct.Options()
		o.Dialer = l.dial
		lossyClient := redis.NewClient(&o)
		t.Cleanup(func() { _ = lossyClient.Close() })
		w.cfg.Redis = lossyClient
		stop := w.run()
		w.settled(w.enqueue(ledger.Block, "+16505550000")) // Redis knows the scripts by then
		l.lose.Store(int32(o.MaxRetries) + 1)
		if p := w.settled(w.enqueue(ledger.Block, numbersFrom(1, 3)...)); p.Succeeded != 3 {
			t.Errorf("%+v", p)
		}
		if n := l.lose.Load(); n > 0 {
			t.Errorf("%d replies were to be lost, and came", n)
		}
		if n := len(w.sim.Journal()); n != 2 {
			t.Errorf("%d calls", n)
		}
		stop()
	})
}

// lossy cuts a connection in place of the next replies of claims that it is told to lose.
type lossy struct{ lose atomic.Int32 }

func (l *lossy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &lossyConn{Conn: c, lossy: l}, err
}

type lossyConn struct {
	net.Conn
	lossy *lossy
	claim atomic.Bool // the last command was a claim
}

func (c *lossyConn) Write(b []byte) (int, error) {
	c.claim.Store(bytes.Contains(b, []byte(":hold")))
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.claim.Load() && c.lossy.lose.Load() > 0 {
		c.lossy.lose.Add(-1)
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

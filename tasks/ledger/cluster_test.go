package ledger_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// All keys of a script must share a slot, and all that it touches must be among its keys: a
// Redis Cluster, of one node here, refuses it otherwise.
func TestOnRedisCluster(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--cluster-enabled", "yes")
	node := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() { _ = node.Close() })
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.Addr}, MaxRedirects: 50})
	t.Cleanup(func() { _ = rdb.Close() })
	awaitCluster(t, rdb)

	f := setup(t, rdb)
	v := f.version()
	f.mark(ledger.Block, ledger.Bulk, v, num(t, 1), num(t, 2), num(t, 3))
	c := f.claim(2, "")
	if states, err := f.Renew(t.Context(), c.ID, c.Users, 10*time.Minute, ""); err != nil || len(states) != 2 {
		t.Errorf("renewed: %v, %v", states, err)
	}
	f.settle(c, ledger.Settlement{Do: ledger.Kill})
	if ok, err := f.Discard(t.Context(), num(t, 1), v); !ok || err != nil {
		t.Errorf("discard: %v, %v", ok, err)
	}
	f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 3))
	f.settle(f.claim(2, ""), ledger.Settlement{Do: ledger.Succeed})
	if n, err := f.Forget(t.Context(), f.entries(1, 2, 3)); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if b, err := f.Backlog(t.Context()); err != nil || !b.Empty() {
		t.Errorf("%+v, %v", b, err)
	}
	n := 0
	for _, err := range f.Scan(t.Context()) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 2 {
		t.Errorf("scanned %d users", n)
	}
}

// awaitCluster waits until the node has found that its cluster is whole.
func awaitCluster(t *testing.T, rdb *redis.ClusterClient) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for {
		if rdb.Set(t.Context(), "wablock-test", "", time.Second).Err() == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("the cluster does not come up")
		}
	}
}

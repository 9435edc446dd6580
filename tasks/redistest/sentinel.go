package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// masterName is the Sentinels' name of the master.
const masterName = "wablock"

// Sentinel is a master with one replica, watched by three Sentinels, which let the replica take
// over two seconds or so after the master was killed.
type Sentinel struct {
	Servers   []*Server // the first is the master to begin with
	Sentinels []*Server
}

// StartSentinel starts them until the test ends, and returns when the Sentinels know of each
// other and of the replica.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Servers: []*Server{Start(t, "--repl-diskless-sync-delay", "0")}}
	host, port, err := net.SplitHostPort(s.Servers[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	s.Servers = append(s.Servers, Start(t, "--repl-diskless-sync-delay", "0", "--replicaof", host, port))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Servers[1].awaitInfo(ctx, "master_link_status:up"); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	for range 3 {
		watch := &Server{dir: t.TempDir(), conf: fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 2\n"+
			"sentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n", masterName, host, port)}
		watch.begin(t)
		s.Sentinels = append(s.Sentinels, watch)
	}
	for _, watch := range s.Sentinels {
		if err := watch.awaitInfo(ctx, "slaves=1,sentinels=3"); err != nil {
			t.Fatalf("redistest: %v", err)
		}
	}
	return s
}

// URL is a redis-sentinel URL of all Sentinels.
func (s *Sentinel) URL() string {
	return "redis-sentinel://" + strings.Join(s.addrs(), ",") + "/0?master=" + masterName
}

func (s *Sentinel) addrs() []string {
	addrs := make([]string, len(s.Sentinels))
	for i, watch := range s.Sentinels {
		addrs[i] = watch.Addr
	}
	return addrs
}

// Client returns a client that ends with the test.
func (s *Sentinel) Client(t testing.TB) *redis.Client {
	t.Helper()
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: s.addrs()})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

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

// Cluster is a Redis Cluster of three masters with a replica each, all on this machine. A
// replica takes over a second or two after its master was killed.
type Cluster struct {
	Nodes []*Server
}

// slots is the number of hash slots of a cluster.
const slots = 16384

// StartCluster starts a cluster that ends with the test, and returns when it is whole.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 6 {
		c.Nodes = append(c.Nodes, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.join(ctx); err != nil {
		t.Fatalf("redistest: cluster: %v", err)
	}
	return c
}

func (c *Cluster) join(ctx context.Context) error {
	var ids []string
	for i, n := range c.Nodes {
		err := n.do(ctx, func(r *redis.Client) error {
			id, err := r.ClusterMyID(ctx).Result()
			ids = append(ids, id)
			if err != nil {
				return err
			}
			if err := r.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
				return err
			}
			if i < 3 {
				return r.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err()
			}
			host, port, err := net.SplitHostPort(c.Nodes[i-3].Addr)
			if err != nil {
				return err
			}
			return r.ClusterMeet(ctx, host, port).Err()
		})
		if err != nil {
			return err
		}
	}
	for _, n := range c.Nodes[1:3] {
		host, port, _ := net.SplitHostPort(n.Addr)
		if err := c.Nodes[0].do(ctx, func(r *redis.Client) error { return r.ClusterMeet(ctx, host, port).Err() }); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "cluster_known_nodes:6"); err != nil {
		return err
	}
	for i := range 3 {
		replicate := func(r *redis.Client) error { return r.ClusterReplicate(ctx, ids[i]).Err() }
		if err := c.Nodes[i+3].do(ctx, func(r *redis.Client) error { return until(ctx, func() error { return replicate(r) }) }); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "cluster_state:ok"); err != nil {
		return err
	}
	for _, n := range c.Nodes[3:] {
		if err := n.awaitInfo(ctx, "master_link_status:up"); err != nil {
			return err
		}
	}
	return nil
}

// await waits until every node says a thing of the cluster.
func (c *Cluster) await(ctx context.Context, what string) error {
	for _, n := range c.Nodes {
		err := n.do(ctx, func(r *redis.Client) error {
			return until(ctx, func() error {
				info, err := r.ClusterInfo(ctx).Result()
				return says(info, what, err)
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// URL is a redis-cluster URL of all nodes.
func (c *Cluster) URL() string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr
	}
	return "redis-cluster://" + strings.Join(addrs, ",")
}

// Client returns a client that ends with the test.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ClusterStateReloadInterval: time.Second})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Master returns the node that serves a key now.
func (c *Cluster) Master(ctx context.Context, rdb *redis.ClusterClient, key string) (*Server, error) {
	master, err := rdb.MasterForKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	for _, n := range c.Nodes {
		if n.Addr == master.Options().Addr {
			return n, nil
		}
	}
	return nil, fmt.Errorf("redistest: no node serves the key at %s", master.Options().Addr)
}

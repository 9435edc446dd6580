package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// Clocks may differ by this much before delayed jobs and leases are visibly off, and by that
// much before they are wrong.
const (
	skewFair = 2 * time.Second
	skewBad  = 10 * time.Second
)

func (x *examination) redis(ctx context.Context, cfg *config.Config) {
	rdb, err := x.a.connect(ctx, cfg)
	if err != nil {
		if e, ok := errors.AsType[*redisError](err); ok {
			what, help := e.fault()
			x.add(bad, "Redis", what, help)
		}
		return // interrupted
	}
	defer func() { _ = rdb.Close() }()
	infos, err := serverInfos(ctx, rdb)
	if err != nil {
		x.add(bad, "Redis", err.Error(), "let the Redis user run INFO")
		return
	}
	for _, i := range infos {
		x.server(cfg, i)
	}
	x.clock(ctx, rdb)
	x.queues(rdb)
}

// info is what a server says of itself, by INFO's names.
type info map[string]string

// serverInfos asks the server, or each master of a cluster.
func serverInfos(ctx context.Context, rdb redis.UniversalClient) ([]info, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		text, err := rdb.Info(ctx).Result()
		return []info{parseInfo(text)}, err
	}
	var mu sync.Mutex
	var all []info
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := c.Info(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, parseInfo(text))
		return err
	})
	return all, err
}

func parseInfo(text string) info {
	i := info{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			i[k] = v
		}
	}
	return i
}

// server checks one server. What it does not tell is no failure: miniredis and some hosted
// ones tell little.
func (x *examination) server(cfg *config.Config, i info) {
	switch v := i["redis_version"]; {
	case v == "":
		x.add(fair, "Redis", fmt.Sprintf("answers at %s but does not tell its version", cfg.Redis), "see that it is 6.2 or later")
	case atLeast(v, 6, 2):
		x.add(good, "Redis", fmt.Sprintf("version %s answers at %s", v, cfg.Redis), "")
	default:
		x.add(bad, "Redis", fmt.Sprintf("version %s at %s is too old", v, cfg.Redis), "upgrade to 6.2 or later")
	}
	switch p := i["maxmemory_policy"]; p {
	case "noeviction":
		x.add(good, "Redis eviction", "maxmemory-policy is noeviction", "")
	case "":
		x.add(fair, "Redis eviction", "it does not tell its maxmemory-policy", "see that it is noeviction: anything else loses requests when memory is full")
	default:
		x.add(bad, "Redis eviction", "maxmemory-policy is "+p+", which drops requests when memory is full",
			"CONFIG SET maxmemory-policy noeviction, and the same in redis.conf")
	}
	switch aof := i["aof_enabled"]; aof {
	case "1":
		x.add(good, "Redis persistence", "appendonly is on", "")
	case "":
		x.add(fair, "Redis persistence", "it does not tell whether it writes an append-only file", "see that appendonly is on")
	default:
		x.add(bad, "Redis persistence", "appendonly is off: a crash loses requests that were accepted",
			"CONFIG SET appendonly yes, and the same in redis.conf")
	}
}

// atLeast compares a version such as 7.0.15.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	a, err := strconv.Atoi(parts[0])
	if err != nil || a != major {
		return err == nil && a > major
	}
	if len(parts) < 2 {
		return minor == 0
	}
	b, err := strconv.Atoi(parts[1])
	return err == nil && b >= minor
}

func (x *examination) clock(ctx context.Context, rdb redis.UniversalClient) {
	before := time.Now()
	theirs, err := rdb.Time(ctx).Result()
	after := time.Now()
	if err != nil {
		x.add(fair, "clock", "Redis does not tell the time: "+err.Error(), "let the Redis user run TIME")
		return
	}
	skew := theirs.Sub(before.Add(after.Sub(before) / 2)).Abs().Round(time.Millisecond)
	v, help := good, "set both machines by NTP"
	if skew > skewFair {
		v = fair
	}
	if skew > skewBad {
		v = bad
	}
	x.add(v, "clock", fmt.Sprintf("this machine and Redis are %v apart", skew), help)
}

// queues looks for what keeps jobs from being done although everything else is in order.
func (x *examination) queues(rdb redis.UniversalClient) {
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	known, err := inspector.Queues()
	if err != nil {
		x.add(bad, "queues", err.Error(), "look at what else uses this Redis database")
		return
	}
	pending, dead := 0, 0
	for _, q := range known {
		qi, err := inspector.GetQueueInfo(q)
		if err != nil {
			x.add(fair, "queue "+q, err.Error(), "")
			continue
		}
		switch {
		case q == tasks.QueueDeadLetter:
			dead = qi.Size
		case ledger.Queue(q).Valid():
			pending += qi.Pending + qi.Scheduled + qi.Retry + qi.Active
			if qi.Paused {
				x.add(bad, "queue "+q, "it is paused", "resume it in the web UI")
			}
		}
	}
	x.workers(inspector, pending, dead)
}

// processes counts workers: each runs several of asynq's servers.
func processes(servers []*asynq.ServerInfo) int {
	seen := map[string]bool{}
	for _, s := range servers {
		seen[fmt.Sprintf("%s/%d", s.Host, s.PID)] = true
	}
	return len(seen)
}

func (x *examination) workers(inspector *asynq.Inspector, pending, dead int) {
	servers, err := inspector.Servers()
	state := count(pending, "task") + " waiting, " + count(dead, "dead letter")
	switch {
	case err != nil:
		x.add(fair, "workers", err.Error(), "")
	case len(servers) == 0 && pending > 0:
		x.add(fair, "workers", "none is running; "+state, "start one with `wablock worker`")
	case len(servers) == 0:
		x.add(good, "workers", "none is running, and nothing waits; "+state, "")
	default:
		x.add(good, "workers", count(processes(servers), "worker")+" running; "+state, "")
	}
}

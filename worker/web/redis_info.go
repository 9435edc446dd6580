package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const redisInfoTimeout = 5 * time.Second

// redisInfo is what asynqmon's page on Redis reads.
type redisInfo struct {
	Address   string            `json:"address"`
	Info      map[string]string `json:"info"`
	RawInfo   string            `json:"raw_info"`
	Cluster   bool              `json:"cluster"`
	RawNodes  string            `json:"raw_cluster_nodes"`
	Locations []queueLocation   `json:"queue_locations"`
}

type queueLocation struct {
	Queue   string   `json:"queue"`
	KeySlot int64    `json:"keyslot"`
	Nodes   []string `json:"nodes"`
}

// serveRedisInfo answers GET /redis_info in asynqmon's stead: its own handler knows two kinds of
// client, and on an INFO that is not Redis's own shows "undefined" and "NaN".
func (m *monitor) serveRedisInfo(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), redisInfoTimeout)
	defer cancel()
	info, err := readRedisInfo(ctx, m.redis)
	if err != nil {
		http.Error(w, maskText(err.Error()), http.StatusBadGateway)
		return
	}
	for i := range info.Locations {
		info.Locations[i].Queue = m.aliases.of(info.Locations[i].Queue)
	}
	writeJSON(w, http.StatusOK, info)
}

func readRedisInfo(ctx context.Context, rdb monitorRedis) (redisInfo, error) {
	switch c := rdb.UniversalClient.(type) {
	case *redis.ClusterClient:
		return readClusterInfo(ctx, c, rdb)
	case *redis.Client:
		return readServerInfo(ctx, rdb, c.Options().Addr) // behind Sentinel: "FailoverClient"
	default:
		return readServerInfo(ctx, rdb, "Redis")
	}
}

func readServerInfo(ctx context.Context, rdb redis.UniversalClient, address string) (redisInfo, error) {
	raw, err := rdb.Info(ctx).Result()
	if err != nil {
		return redisInfo{}, err
	}
	info := parseInfo(raw)
	if info["redis_version"] == "" {
		return embeddedInfo(address, raw, info), nil
	}
	return redisInfo{Address: address, Info: info, RawInfo: raw}, nil
}

// embeddedInfo speaks for miniredis, whose INFO has next to nothing of what the page looks for.
func embeddedInfo(address, raw string, info map[string]string) redisInfo {
	const none = "–"
	for _, field := range []string{
		"used_memory_human", "used_memory_peak_human", "mem_fragmentation_ratio",
		"connected_clients", "connected_slaves", "rdb_changes_since_last_save",
	} {
		if info[field] == "" {
			info[field] = none
		}
	}
	info["redis_version"] = "miniredis"
	if info["uptime_in_days"] == "" {
		info["uptime_in_days"] = "0"
	}
	info["rdb_last_save_time"] = "0" // shown as nothing
	return redisInfo{
		Address: address + " (embedded: nothing in it outlives the process)",
		Info:    info,
		RawInfo: raw,
	}
}

func readClusterInfo(ctx context.Context, c *redis.ClusterClient, rdb monitorRedis) (redisInfo, error) {
	raw, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return redisInfo{}, err
	}
	nodes, err := c.ClusterNodes(ctx).Result()
	if err != nil {
		return redisInfo{}, err
	}
	out := redisInfo{
		Address:  strings.Join(c.Options().Addrs, ","),
		Info:     parseInfo(raw),
		RawInfo:  raw,
		Cluster:  true,
		RawNodes: nodes,
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	queues, err := inspector.Queues()
	if err != nil {
		return redisInfo{}, err
	}
	for _, q := range queues {
		location := queueLocation{Queue: q}
		if location.KeySlot, err = inspector.ClusterKeySlot(q); err != nil {
			return redisInfo{}, err
		}
		holders, err := inspector.ClusterNodes(q)
		if err != nil {
			return redisInfo{}, err
		}
		for _, n := range holders {
			location.Nodes = append(location.Nodes, n.Addr)
		}
		out.Locations = append(out.Locations, location)
	}
	return out, nil
}

// parseInfo reads the "name:value" lines of INFO and CLUSTER INFO.
func parseInfo(raw string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(raw) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && !strings.HasPrefix(name, "#") {
			info[name] = value
		}
	}
	return info
}

package queues

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
)

// Orphan is a task that a worker took before it died, or was cut off from Redis: its lease has
// run out, or is missing. asynq hands it to another worker in its own time, up to 90 s after that.
type Orphan struct {
	TaskID  string
	Payload Payload
	// Lease is the time at which the lease ran out, which tells one orphaning of a task from the next.
	Lease time.Time
}

// orphansScript returns the active tasks whose lease has run out, and when it did. A task without
// a lease gets one that has run out: asynq would never hand it over otherwise.
//
// KEYS  the queue's active tasks, its leases (by when they run out on the workers' clocks)
// ARGV  the time now, in seconds
var orphansScript = redis.NewScript(`
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  redis.call('ZADD', KEYS[2], 'NX', ARGV[1], id)
end
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'WITHSCORES')`)

// Orphans returns up to limit of q's orphans, those first that have waited longest, less those
// for which skip is true, and those that can't be read: asynq's recovery is soon enough for these.
func Orphans(ctx context.Context, rdb redis.UniversalClient, q ledger.Queue, limit int, skip func(taskID string, lease time.Time) bool) ([]Orphan, error) {
	leases, err := orphansScript.Run(ctx, rdb, []string{Key(string(q), "active"), Key(string(q), "lease")}, time.Now().Unix()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("tasks: find orphans: %w", err)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	var orphans []Orphan
	for i := 0; i+1 < len(leases) && len(orphans) < limit; i += 2 {
		seconds, err := strconv.ParseFloat(leases[i+1], 64)
		if err != nil {
			return orphans, fmt.Errorf("tasks: find orphans: %w", err)
		}
		id, lease := leases[i], time.Unix(int64(seconds), 0)
		if skip(id, lease) {
			continue
		}
		info, err := inspector.GetTaskInfo(string(q), id)
		if IsGone(err) {
			continue // it has ended since
		}
		if err != nil {
			return orphans, fmt.Errorf("tasks: read an orphan: %w", err)
		}
		if p, err := Decode(info.Type, info.Payload); err == nil {
			orphans = append(orphans, Orphan{TaskID: id, Payload: p, Lease: lease})
		}
	}
	return orphans, nil
}

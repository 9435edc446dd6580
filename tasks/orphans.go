package tasks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
)

// Orphan is a task that a worker took before it died, or was cut off from Redis: its lease has
// run out. asynq hands it to another worker in its own time, up to 90 s after that.
type Orphan struct {
	TaskID  string
	Payload Payload
	// Lease is when the lease ran out, which tells one orphaning of a task from the next.
	Lease time.Time
}

// Orphans returns up to limit of q's orphans, those first that have waited longest, less those
// for which skip is true, and those that cannot be read: asynq's recovery is soon enough for
// these. It changes nothing.
func Orphans(ctx context.Context, rdb redis.UniversalClient, q ledger.Queue, limit int, skip func(taskID string, lease time.Time) bool) ([]Orphan, error) {
	// asynq keeps the leases of active tasks here, by when they run out on the workers' clocks.
	key := "asynq:{" + string(q) + "}:lease"
	leases, err := rdb.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(time.Now().Unix(), 10), Count: int64(limit),
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("tasks: find orphans: %w", err)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	var orphans []Orphan
	for _, l := range leases {
		id, _ := l.Member.(string)
		lease := time.Unix(int64(l.Score), 0)
		if skip(id, lease) {
			continue
		}
		info, err := inspector.GetTaskInfo(string(q), id)
		if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
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

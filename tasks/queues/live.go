package queues

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
)

// liveKeys are asynq's keys of tasks that have not ended, in the order in which tasks go from
// one to the next: who moves on while they are read is met again, not missed. An active task
// may go back, so where it goes is read once more.
var liveKeys = []string{"scheduled", "retry", "pending", "active", "retry", "pending"}

// Live yields the tasks of a phone number ID that have not ended, some perhaps twice. A task
// that is there from beginning to end comes; one that comes or ends meanwhile may. It reads
// every task of the three queues of work, a fraction of a millisecond each. An error is the
// last thing that comes.
func Live(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) iter.Seq2[Payload, error] {
	return func(yield func(Payload, error) bool) {
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		for _, q := range ledger.Queues() {
			ids, err := liveIDs(ctx, rdb, q)
			if err != nil {
				yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
				return
			}
			for chunk := range slices.Chunk(ids, 1000) {
				found, err := livePayloads(ctx, inspector, q, chunk)
				if err != nil {
					yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
					return
				}
				for _, f := range found {
					if f != nil && f.PhoneNumberID == phoneNumberID && !yield(*f, nil) {
						return
					}
				}
			}
		}
	}
}

func liveIDs(ctx context.Context, rdb redis.UniversalClient, q ledger.Queue) ([]string, error) {
	var ids []string
	for _, state := range liveKeys {
		var found []string
		var err error
		if state == "scheduled" || state == "retry" {
			found, err = rdb.ZRange(ctx, Key(string(q), state), 0, -1).Result()
		} else {
			found, err = rdb.LRange(ctx, Key(string(q), state), 0, -1).Result()
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// livePayloads reads tasks; those that have ended, or can't be read, are nil.
func livePayloads(ctx context.Context, inspector *asynq.Inspector, q ledger.Queue, ids []string) ([]*Payload, error) {
	found := make([]*Payload, len(ids))
	err := parallel.Each(ctx, parallel.UpTo(0, len(ids)), func(_ context.Context, i int) error {
		info, err := inspector.GetTaskInfo(string(q), ids[i])
		if IsGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived {
			return nil
		}
		if payload, err := Decode(info.Type, info.Payload); err == nil {
			found[i] = &payload
		}
		return nil
	})
	return found, err
}

// Orphan is a task that a worker took before it died, or was cut off from Redis: its lease has
// run out, or is missing. asynq hands it to another worker in its own time, up to 90 s after that.
type Orphan struct {
	TaskID  string
	Payload Payload
	// Lease is when the lease ran out, which tells one orphaning of a task from the next.
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

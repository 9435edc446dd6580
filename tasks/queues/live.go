package queues

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
)

// indexKey returns the key of a sorted set: the tasks of a phone number ID, as "queue task ID", by
// when they were put there, in Unix seconds. Producers put them in before they enqueue, workers
// take them out when they end, so that reading them does not read those of all phone number IDs.
func indexKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:tasks" }

// unindexed is the time that a producer may take from the index to the task.
const unindexed = time.Hour

func member(q ledger.Queue, taskID string) string { return string(q) + " " + taskID }

// Index puts tasks that are about to be enqueued into the index of their phone number ID.
func Index(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, q ledger.Queue, taskIDs ...string) error {
	now := float64(time.Now().Unix())
	for chunk := range slices.Chunk(taskIDs, 1000) {
		members := make([]redis.Z, len(chunk))
		for i, id := range chunk {
			members[i] = redis.Z{Score: now, Member: member(q, id)}
		}
		if err := rdb.ZAdd(ctx, indexKey(phoneNumberID), members...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Unindex takes tasks that end out of the index. What stays there by mistake goes with Live.
func Unindex(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, q ledger.Queue, taskIDs ...string) error {
	for chunk := range slices.Chunk(taskIDs, 1000) {
		members := make([]any, len(chunk))
		for i, id := range chunk {
			members[i] = member(q, id)
		}
		if err := rdb.ZRem(ctx, indexKey(phoneNumberID), members...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Live yields the tasks of a phone number ID that have not ended. A task that is in Redis from
// beginning to end comes; one that comes or ends meanwhile may. It reads those of this phone
// number ID alone, a fraction of a millisecond each. An error is the last thing that comes.
func Live(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) iter.Seq2[Payload, error] {
	return func(yield func(Payload, error) bool) {
		indexed, err := rdb.ZRangeWithScores(ctx, indexKey(phoneNumberID), 0, -1).Result()
		if err != nil {
			yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
			return
		}
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		old := float64(time.Now().Add(-unindexed).Unix())
		for chunk := range slices.Chunk(indexed, 1000) {
			found, err := payloads(ctx, inspector, chunk)
			if err != nil {
				yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
				return
			}
			var ended []any
			for i, f := range found {
				if f == nil && chunk[i].Score < old {
					ended = append(ended, chunk[i].Member)
				}
				if f != nil && f.PhoneNumberID == phoneNumberID && !yield(*f, nil) {
					return
				}
			}
			if len(ended) > 0 {
				rdb.ZRem(ctx, indexKey(phoneNumberID), ended...) // or the next time
			}
		}
	}
}

// payloads reads indexed tasks; those that have ended, or can't be read, are nil.
func payloads(ctx context.Context, inspector *asynq.Inspector, indexed []redis.Z) ([]*Payload, error) {
	found := make([]*Payload, len(indexed))
	err := parallel.Each(ctx, parallel.Commands, parallel.UpTo(0, len(indexed)), func(_ context.Context, i int) error {
		name, _ := indexed[i].Member.(string)
		queue, id, _ := strings.Cut(name, " ")
		info, err := inspector.GetTaskInfo(queue, id)
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

// liveKeys are asynq's keys of tasks that have not ended, in the order in which tasks go from
// one to the next: what moves on while they are read is met again, not missed. An active task
// may go back, so where it goes is read once more.
var liveKeys = []string{"scheduled", "retry", "pending", "active", "retry", "pending"}

// IndexAll puts into the indexes the tasks that producers of an older version enqueued without. Of those that are
// indexed already, as all of a newer version's are, it reads few.
func IndexAll(ctx context.Context, rdb redis.UniversalClient) error {
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	var met []string // phone number IDs
	for _, q := range ledger.Queues() {
		var ids []redis.Z
		for _, state := range liveKeys {
			read := rdb.ZRange
			if state == "pending" || state == "active" {
				read = rdb.LRange
			}
			found, err := read(ctx, Key(string(q), state), 0, -1).Result()
			if err != nil {
				return fmt.Errorf("tasks: index tasks: %w", err)
			}
			for _, id := range found {
				ids = append(ids, redis.Z{Member: member(q, id)})
			}
		}
		for n := 1; len(ids) > 0; n = 100 { // the first alone: it tells the phone number ID of most
			n = min(n, len(ids))
			chunk, err := notIndexed(ctx, rdb, met, ids[:n])
			if err != nil {
				return fmt.Errorf("tasks: index tasks: %w", err)
			}
			ids = ids[n:]
			found, err := payloads(ctx, inspector, chunk)
			if err != nil {
				return fmt.Errorf("tasks: index tasks: %w", err)
			}
			for _, f := range found {
				if f == nil {
					continue
				}
				if err := Index(ctx, rdb, f.PhoneNumberID, q, f.TaskID()); err != nil {
					return fmt.Errorf("tasks: index tasks: %w", err)
				}
				if !slices.Contains(met, f.PhoneNumberID) && len(met) < maxMet {
					met = append(met, f.PhoneNumberID)
				}
			}
		}
	}
	return nil
}

// maxMet bounds the indexes in which a task is looked for before it is read.
const maxMet = 20

// notIndexed returns those of some tasks that the indexes of these phone number IDs do not have.
func notIndexed(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs []string, tasks []redis.Z) ([]redis.Z, error) {
	names := make([]string, len(tasks))
	for i, t := range tasks {
		names[i], _ = t.Member.(string)
	}
	pipe := rdb.Pipeline()
	scores := make([]*redis.FloatSliceCmd, len(phoneNumberIDs))
	for k, id := range phoneNumberIDs {
		scores[k] = pipe.ZMScore(ctx, indexKey(id), names...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	left := make([]redis.Z, 0, len(tasks))
	for i, t := range tasks {
		if !slices.ContainsFunc(scores, func(s *redis.FloatSliceCmd) bool { return s.Val()[i] != 0 }) {
			left = append(left, t)
		}
	}
	return left, nil
}

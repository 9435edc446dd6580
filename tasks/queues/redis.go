package queues

import (
	"context"
	"errors"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Key returns asynq's Redis key of a queue: a sorted set or list of task IDs for a state such
// as "scheduled", the task itself for "t:" and its ID. The keys are read directly because
// asynq's own listing pages by position, and misses tasks whenever others go.
func Key(queue, state string) string { return "asynq:{" + queue + "}:" + state }

// IsGone reports whether err of an [asynq.Inspector] means that the task does not exist, or that only its result is left.
func IsGone(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) || err != nil && strings.Contains(err.Error(), noState)
}

// noState is the text that asynq has for a task without a state: its errors have no other sign.
const noState = `"" is not supported task state`

// DropRemains deletes what is left of a task that is gone, and reports whether there was anything. A failover may lose a task
// before its result is written; asynq then takes the result for a task of this ID, for ever.
func DropRemains(ctx context.Context, rdb redis.UniversalClient, queue, id string) (dropped bool, err error) {
	key := Key(queue, "t:"+id)
	err = rdb.Watch(ctx, func(tx *redis.Tx) error {
		there, err := tx.HExists(ctx, key, "msg").Result()
		if err != nil || there {
			return err
		}
		var n *redis.IntCmd
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			n = p.Del(ctx, key)
			return nil
		})
		dropped = err == nil && n.Val() > 0
		return err
	}, key)
	return dropped, err
}

// ErrRedisFull is wrapped when Redis refuses writes because it is at its maxmemory.
var ErrRedisFull = errors.New("Redis is full (at its maxmemory): give it more memory or free some, then repeat") //nolint:staticcheck // a name

// Explain turns Redis's refusal for want of memory into ErrRedisFull. asynq passes Redis's
// errors on as text, so the text is all there is to go by; ErrRedisFull carries nothing else.
func Explain(err error) error {
	if err != nil && strings.Contains(err.Error(), "OOM command not allowed") {
		return ErrRedisFull
	}
	return err
}

// HasMoved reports whether err of an [asynq.Inspector] means that the task was in another state
// than the action needs, as one that a handler has just taken. asynq gives such errors no kind.
func HasMoved(err error) bool {
	return err != nil && strings.Contains(err.Error(), "FAILED_PRECONDITION")
}

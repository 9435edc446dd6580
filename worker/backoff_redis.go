package worker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// backoffRedis wraps the client given to asynq and waits after a failed script; asynq itself
// retries in a tight loop. go-redis pauses before it repeats what was not answered, but not
// what was refused, as by a Redis that is out of memory or whose disk is full.
//
// The results and the ends of tasks go through the gatherer: many tasks of single users end at once.
type backoffRedis struct {
	redis.UniversalClient
	ends *gatherer
}

// HSet writes a task's result.
func (r backoffRedis) HSet(ctx context.Context, key string, values ...any) *redis.IntCmd {
	return gather(r.ends, r.UniversalClient, func(c redis.Cmdable) *redis.IntCmd { return c.HSet(ctx, key, values...) })
}

// EvalSha runs a script, and pauses when it failed.
func (r backoffRedis) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	run := func(c redis.Cmdable) *redis.Cmd { return c.EvalSha(ctx, sha1, keys, args...) }
	var cmd *redis.Cmd
	if _, ends := ctx.Deadline(); ends { // that of the task's lease; dequeueing, which has none, must not wait
		cmd = gather(r.ends, r.UniversalClient, run)
	} else {
		cmd = run(r.UniversalClient)
	}
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		sleep(ctx, redisRetryDelay)
	}
	return cmd
}

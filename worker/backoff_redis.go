package worker

import (
	"context"
	_ "embed" // of scripts
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

//go:embed lua/write_result.lua
var resultScript string

// HSet writes a task's result, if the task is still there: a failover may have lost it since.
func (r backoffRedis) HSet(ctx context.Context, key string, values ...any) *redis.IntCmd {
	cmd := gather(r.ends, r.UniversalClient, func(c redis.Cmdable) *redis.Cmd { return c.Eval(ctx, resultScript, []string{key}, values...) })
	written := redis.NewIntCmd(ctx)
	if n, err := cmd.Int64(); err != nil {
		written.SetErr(err)
	} else {
		written.SetVal(n)
	}
	return written
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

package worker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// backoffRedis wraps the client given to asynq and waits after a failed script; asynq itself
// retries in a tight loop. go-redis pauses before it repeats what was not answered, but not
// what was refused, as by a Redis that is out of memory or whose disk is full.
type backoffRedis struct{ redis.UniversalClient }

// EvalSha runs a script, and pauses when it failed.
func (r backoffRedis) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	cmd := r.UniversalClient.EvalSha(ctx, sha1, keys, args...)
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		sleep(ctx, redisRetryDelay)
	}
	return cmd
}

package worker

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// patient is the Redis that asynq's servers get. When a script fails, asynq runs it again at
// once, as fast as Redis answers: go-redis pauses before it repeats what was not answered, but
// not what was refused, as by a Redis that is out of memory or whose disk is full.
type patient struct{ redis.UniversalClient }

// EvalSha runs a script, and pauses when it failed.
func (p patient) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	cmd := p.UniversalClient.EvalSha(ctx, sha1, keys, args...)
	if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		timer := time.NewTimer(redisRetryDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return cmd
}

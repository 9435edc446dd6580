package app

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config"
)

// connectTimeout bounds the first answer of Redis: people may be waiting for it.
const connectTimeout = 10 * time.Second

// Connect returns a client of a Redis that answers. The caller closes it. Unless ctx has ended,
// its error is a [*RedisError].
func Connect(ctx context.Context, cfg *config.Config) (redis.UniversalClient, error) {
	rdb := cfg.Redis.Client()
	ping, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := rdb.Ping(ping).Err(); err != nil {
		_ = rdb.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &RedisError{cfg.Redis.String(), err}
	}
	return rdb, nil
}

// RedisError reports a Redis that does not answer.
type RedisError struct {
	at  string
	err error
}

func (e *RedisError) Error() string {
	what, help := e.Fault()
	return fmt.Sprintf("Redis at %s; %s; `wablock doctor` looks closer", what, help)
}

// Fault returns what is wrong, and what to do about it.
func (e *RedisError) Fault() (what, help string) {
	if redis.HasErrorPrefix(e.err, "NOAUTH") || redis.HasErrorPrefix(e.err, "WRONGPASS") {
		return fmt.Sprintf("%s asks for another user or password: %v", e.at, e.err), "put user and password into WABLOCK_REDIS_URL"
	}
	return fmt.Sprintf("%s does not answer: %v", e.at, e.err), "start Redis 6.2 or later, or correct WABLOCK_REDIS_URL"
}

func (e *RedisError) Unwrap() error { return e.err }

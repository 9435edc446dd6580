package web

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// monitorRedis is the shared client as asynqmon gets it: with a Close that closes nothing, and
// with one script of asynq's mended. It is an asynq.RedisConnOpt as well, whatever kind of client
// is shared; asynqmon then serves no page on Redis itself, which redis_info.go does.
type monitorRedis struct{ redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (m monitorRedis) MakeRedisClient() any { return m }

// Close does nothing: the client belongs to the worker.
func (m monitorRedis) Close() error { return nil }

// EvalSha runs a script of asynq's.
func (m monitorRedis) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return m.mend(ctx, m.UniversalClient.EvalSha(ctx, sha, keys, args...), keys, args)
}

// Eval runs a script of asynq's that Redis did not know by its hash.
func (m monitorRedis) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return m.mend(ctx, m.UniversalClient.Eval(ctx, script, keys, args...), keys, args)
}

//go:embed memory_usage.lua
var memoryUsageLua string

var memoryUsage = redis.NewScript(memoryUsageLua)

// mend answers for asynq's estimate of a queue's memory when that failed: it stops at the first
// task whose body is missing, and with it everything that shows the queue. The script is known by
// its keys, which no other of asynq's has.
func (m monitorRedis) mend(ctx context.Context, cmd *redis.Cmd, keys []string, args []any) *redis.Cmd {
	var fromRedis redis.Error
	if cmd.Err() == nil || !errors.As(cmd.Err(), &fromRedis) || redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return cmd
	}
	if len(keys) != 7 || !strings.HasSuffix(keys[0], ":active") || !strings.HasSuffix(keys[6], ":groups") || len(args) < 2 {
		return cmd
	}
	return memoryUsage.Run(ctx, m.UniversalClient, keys[:6], args[0], args[1])
}

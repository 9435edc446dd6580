package web

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// monitorRedis wraps the shared client for asynqmon: its Close closes nothing, and it repairs one
// script of asynq's. It is an asynq.RedisConnOpt for any kind of client. asynqmon does not know
// this type, so it serves no page on Redis itself; `wablock doctor` checks that.
type monitorRedis struct{ redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (m monitorRedis) MakeRedisClient() any { return m }

// Close does nothing: the client belongs to the worker.
func (m monitorRedis) Close() error { return nil }

// EvalSha runs a script of asynq's.
func (m monitorRedis) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return m.repair(ctx, m.UniversalClient.EvalSha(ctx, sha, keys, args...), keys, args)
}

// Eval runs a script of asynq's whose hash Redis did not know.
func (m monitorRedis) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return m.repair(ctx, m.UniversalClient.Eval(ctx, script, keys, args...), keys, args)
}

//go:embed memory_usage.lua
var memoryUsageLua string

var memoryUsage = redis.NewScript(memoryUsageLua)

// repair replaces a failed estimate of a queue's memory: the script stops at the first task whose
// body is missing, and every page that shows the queue with it. The script is recognized by its
// keys, which no other of asynq's has.
func (m monitorRedis) repair(ctx context.Context, cmd *redis.Cmd, keys []string, args []any) *redis.Cmd {
	var fromRedis redis.Error
	if cmd.Err() == nil || !errors.As(cmd.Err(), &fromRedis) || redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return cmd
	}
	if len(keys) != 7 || !strings.HasSuffix(keys[0], ":active") || !strings.HasSuffix(keys[6], ":groups") || len(args) < 2 {
		return cmd
	}
	return memoryUsage.Run(ctx, m.UniversalClient, keys[:6], args[0], args[1])
}

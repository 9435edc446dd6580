package redistest

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

// ErrLost is the error of a command whose reply a Hook lost.
var ErrLost = errors.New("read: connection reset by peer")

// Hook meets the single commands of a client, in pipelines none: see [redis.UniversalClient]'s
// AddHook. Both functions are optional.
type Hook struct {
	// Before runs before a command is sent.
	Before func(cmd redis.Cmder)
	// Lose reports whether the reply of a command that succeeded gets lost.
	Lose func(cmd redis.Cmder) bool
}

// DialHook changes nothing.
func (*Hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (*Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook runs the functions around a command.
func (h *Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.Before != nil {
			h.Before(cmd)
		}
		err := next(ctx, cmd)
		if err == nil && h.Lose != nil && h.Lose(cmd) {
			cmd.SetErr(ErrLost)
			return ErrLost
		}
		return err
	}
}

// Touches reports whether a command names a key.
func Touches(cmd redis.Cmder, key string) bool {
	return slices.ContainsFunc(cmd.Args(), func(a any) bool { return a == any(key) })
}

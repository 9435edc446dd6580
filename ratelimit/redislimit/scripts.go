package redislimit

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/take.lua
var takeSource string

//go:embed lua/cancel.lua
var cancelSource string

//go:embed lua/load.lua
var loadSource string

//go:embed lua/store.lua
var storeSource string

// scripts are compiled per Limiter: go-redis keeps only their hashes.
type scripts struct{ take, cancel, load, store *redis.Script }

func newScripts() scripts {
	return scripts{
		take:   redis.NewScript(takeSource),
		cancel: redis.NewScript(cancelSource),
		load:   redis.NewScript(loadSource),
		store:  redis.NewScript(storeSource),
	}
}

// invocation is one script on one key. The keys of a batch may lie in different cluster slots.
type invocation struct {
	key  string
	args []any
}

// runAll runs a script on several keys in one round trip, and again with its text where Redis does not know it yet. Each
// command tells its own error: one may have run though another failed.
func runAll(ctx context.Context, rdb redis.UniversalClient, script *redis.Script, calls []invocation) []*redis.Cmd {
	if len(calls) == 1 {
		return []*redis.Cmd{script.Run(ctx, rdb, []string{calls[0].key}, calls[0].args...)}
	}
	cmds := make([]*redis.Cmd, len(calls))
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // its error is that of one of the commands
		for i, c := range calls {
			cmds[i] = script.EvalSha(ctx, p, []string{c.key}, c.args...)
		}
		return nil
	})
	for i, c := range calls {
		if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
			cmds[i] = script.Eval(ctx, rdb, []string{c.key}, c.args...)
		}
	}
	return cmds
}

// integers reads a reply of n integers.
func integers(cmd *redis.Cmd, n int) ([]int64, error) {
	values, err := cmd.Int64Slice()
	if err != nil {
		return nil, err
	}
	if len(values) != n {
		return nil, fmt.Errorf("redislimit: script returned %d values, not %d", len(values), n)
	}
	return values, nil
}

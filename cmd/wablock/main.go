// Command wablock keeps WhatsApp blocklists right: it queues requests to block and unblock
// users, and workers carry them out through Meta's Block Users API. `wablock help` lists what
// it can do; each subcommand has a file of its own here.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

func main() {
	// The driver logs failed connections by itself; every command reports them in its own words.
	redis.SetLogger(silent{})
	ctx, stop := withSignals(context.Background())
	code := run(ctx, os.Args[1:], environment(os.Environ()), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// environment returns variables that are written NAME=value.
func environment(variables []string) map[string]string {
	env := map[string]string{}
	for _, v := range variables {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	return env
}

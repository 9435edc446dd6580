// Command wablock keeps WhatsApp blocklists right: it queues requests to block and unblock
// users, and workers carry them out through Meta's Block Users API. `wablock help` lists what
// it can do; each subcommand has a file of its own here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
)

func main() {
	// The driver logs failed connections by itself; every command reports them in its own words.
	redis.SetLogger(silent{})
	ctx, stop := withSignals(context.Background())
	code := execute(ctx, os.Args[1:], environment(os.Environ()), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute is the program but for the process around it.
func execute(ctx context.Context, args []string, env map[string]string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		// A panic must not look like wrong usage, which has the same exit code.
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(stderr, "wablock: internal error: %v\n%s", p, debug.Stack())
			code = exitFailed
		}
	}()
	c := &cli{env: env, in: interruptible(ctx, stdin), out: stdout, err: stderr}
	root := rootCommand(c)
	defer startTraces(ctx, c)()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	cmd, err := root.ExecuteContextC(ctx)
	code = exitCode(ctx, err, c.started)
	if e, ok := errors.AsType[*exitError](err); code == exitInterrupted && (!ok || e.code != code) {
		c.say("interrupted")
	}
	report(stderr, err)
	if code == exitUsage && !c.started && cmd != nil {
		_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
	}
	return code
}

// startTraces makes the process record traces if its environment asks for them, and returns what to do at its end.
// Without them everything else goes on.
func startTraces(ctx context.Context, c *cli) (stop func()) {
	often := rate.Sometimes{Interval: time.Minute} // a collector may be away for hours
	stop, err := app.Tracing(ctx, c.env, buildInfo().Version, func(err error) {
		often.Do(func() { c.say("warning: traces are lost: %v", err) })
	})
	if err != nil {
		c.say("warning: no traces: %v", err)
	}
	return stop
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

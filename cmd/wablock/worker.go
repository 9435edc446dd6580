package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
)

func workerCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Carry out what is queued; serve the web UI, metrics and health",
		Long: `Drains the queues through the Block Users API until SIGTERM or Ctrl-C, then lets calls in
flight end, hands the rest back, and exits with 0. Start as many as you like, on as many
machines: they share the rate limit through Redis.

One worker serves all phone number IDs of the --config file. With WABLOCK_ACCESS_TOKEN it
also serves those that only producers name.`,
		Args: noArgs,
	}
	anyHost := cmd.Flags().Bool("any-graph-host", false, "start although workers on this Redis call another Graph host")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runWorker(c, cmd, *anyHost) }
	settingFlags(cmd.Flags(), true)
	return cmd
}

// workerGOGC makes a worker collect garbage half as often as Go does by itself: it holds little, and most of what a call
// of 1,000 users allocates is garbage at its end.
const workerGOGC = 200

func runWorker(c *cli, cmd *cobra.Command, anyGraphHost bool) error {
	cfg, err := c.config(cmd)
	if err != nil {
		return err
	}
	ctx, stderr := drainWithoutLog(cmd.Context(), c.err)
	log := logger(c, cfg, stderr)
	a, err := openApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	a.Version, a.AnyGraphHost = buildInfo().Version, anyGraphHost
	if c.env["GOGC"] == "" {
		debug.SetGCPercent(workerGOGC)
	}
	rdb, err := app.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	s, err := a.Service(ctx, rdb)
	if err != nil {
		return err
	}
	if err = s.Run(ctx); errors.Is(context.Cause(ctx), errLogLost) {
		err = errors.Join(err, errLogLost)
	}
	return err
}

// How long a worker waits at its start for files of secrets that are not there yet, or still
// empty: they may be written, or mounted, at this moment.
const (
	secretTries = 10
	secretPause = 200 * time.Millisecond
)

// openApp returns a worker, having waited a moment for its secrets.
func openApp(ctx context.Context, cfg *config.Config, log *slog.Logger) (*app.App, error) {
	for try := 1; ; try++ {
		a, err := app.New(cfg, log)
		late := errors.Is(err, os.ErrNotExist) || errors.Is(err, secret.ErrEmpty)
		if !late || try == secretTries {
			return a, err
		}
		if err := pauseFor(ctx, secretPause); err != nil {
			return nil, err
		}
	}
}

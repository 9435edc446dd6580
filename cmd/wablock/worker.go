package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config(cmd)
			if err != nil {
				return err
			}
			a, err := app.New(cfg, logger(c, cfg))
			if err != nil {
				return err
			}
			a.Version = buildInfo().Version
			rdb, err := app.Connect(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { _ = rdb.Close() }()
			s, err := a.Service(rdb)
			if err != nil {
				return err
			}
			return s.Run(cmd.Context())
		},
	}
	settingFlags(cmd.Flags(), true)
	return cmd
}

// logger returns the log of a long-running command, on stderr.
func logger(c *cli, cfg *config.Config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" || cfg.LogFormat == "" && !c.onTerminal() {
		return slog.New(slog.NewJSONHandler(c.err, opts))
	}
	return slog.New(slog.NewTextHandler(c.err, opts))
}

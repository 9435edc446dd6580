package main

import (
	"github.com/spf13/cobra"
)

func (a *app) workerCommand() *cobra.Command {
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
			cfg, err := a.config(cmd)
			if err != nil {
				return err
			}
			log := a.logger(cfg)
			n, err := newNumbers(cfg, log)
			if err != nil {
				return err
			}
			rdb, err := a.connect(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { _ = rdb.Close() }()
			s, err := newService(cfg, n, rdb, log, nil)
			if err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
	settingFlags(cmd.Flags(), true)
	return cmd
}

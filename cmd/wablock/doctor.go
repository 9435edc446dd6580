package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/doctor"
	"github.com/wablock/wablock/tasks/amounts"
)

func doctorCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, Redis and the API",
		Long: `Checks the configuration, Redis (reachable, version, noeviction, persistence, clock), the
queues, and the API (token, phone number IDs), and says how to fix what is wrong. It changes
nothing, and asks the API for one entry of each blocklist.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return examine(c, cmd) },
	}
}

func examine(c *cli, cmd *cobra.Command) error {
	cfg, err := c.load(cmd)
	if err != nil {
		for _, f := range doctor.Wrong(err) {
			if err := showFinding(c, f); err != nil {
				return err
			}
		}
		return &exitError{code: exitUsage, text: "the configuration is wrong, and nothing else was checked"}
	}
	failures := 0
	var broken error // the output
	for f := range doctor.Examine(cmd.Context(), cfg) {
		if f.Status == doctor.Failed {
			failures++
		}
		broken = errors.Join(broken, showFinding(c, f))
	}
	switch {
	case cmd.Context().Err() != nil:
		return interruptedf("interrupted before everything was checked")
	case failures > 0:
		return errors.Join(broken, &exitError{code: exitFailed, text: amounts.Count(failures, "check") + " failed"})
	}
	return broken
}

func showFinding(c *cli, f doctor.Finding) error {
	f.Detail = plain(f.Detail)
	if c.json {
		return printOne(c.out, f)
	}
	text := fmt.Sprintf("%-8s %s: %s\n", f.Status, f.Check, printable(f.Detail))
	if f.Help != "" {
		text += "         → " + printable(f.Help) + "\n"
	}
	_, err := io.WriteString(c.out, text)
	return err
}

package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/reply"
)

// status shows where numbers stand.
type status struct {
	*cli
	numberFlags
}

func statusCommand(parent *cli) *cobra.Command {
	c := &status{cli: parent}
	cmd := &cobra.Command{
		Use:   "status [NUMBER...]",
		Short: "Show where numbers stand",
		Long:  "Shows what is wanted for each number, and what has come of it." + numbersHelp,
		RunE:  c.run,
	}
	c.add(cmd.Flags(), fileUsage)
	return cmd
}

func (c *status) run(cmd *cobra.Command, args []string) error {
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return err
	}
	in, err := readInputs(cmd.Context(), c.cli, args, c.numberFlags, cfg.DefaultCountry)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	if err := c.show(cmd.Context(), rdb, number.ID, in); err != nil {
		return err
	}
	if n := len(in.rejected); n > 0 {
		return partlyf("%s rejected", amounts.Count(n, "input"))
	}
	return nil
}

func (c *status) show(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, in inputs) error {
	out := newAnswer(c.cli, "user", "wanted", "state", "code", "message", "attempts", "requested", "settled", "waiting for")
	for chunk := range slices.Chunk(in.users, ledger.MaxBatch) {
		states, err := reply.Statuses(ctx, rdb, phoneNumberID, chunk)
		if err != nil {
			return err
		}
		for _, s := range states {
			if err := out.add(s, func() []string { return statusRow(s) }); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

func statusRow(s reply.Status) []string {
	state := s.State
	if s.Discarded {
		state += " (discarded)"
	}
	if s.SupersededBy != "" {
		state += " (superseded by " + s.SupersededBy + ")"
	}
	name := s.User
	if len(s.KnownAs) > 0 {
		name += " (also " + strings.Join(s.KnownAs, ", ") + ")"
	}
	return []string{
		name, string(s.Operation), state, codeText(s.Code), s.Message, optional(s.Attempts), stamp(s.RequestedAt), stamp(s.SettledAt), s.WaitingText,
	}
}

func optional(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

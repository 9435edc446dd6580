package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/reply"
)

// pausing is the command `pause` or `resume`.
type pausing struct {
	*cli
	requester
	all       bool
	operation string
	reason    string
	lasts     time.Duration
	lastsSaid bool
}

func (c *pausing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&c.all, "all", false, "for all phone number IDs")
	f.StringVar(&c.operation, "operation", "", "block or unblock alone (default both)")
	c.addBy(f)
}

func pauseCommand(parent *cli) *cobra.Command {
	c := &pausing{cli: parent}
	cmd := &cobra.Command{
		Use:   "pause --reason TEXT",
		Short: "Stop the calls of a phone number ID, or of all",
		Long: `Stops the calls that block and unblock users: the last call of all workers starts within a second.
Calls that are under way end. Requests are accepted as ever and wait; listing goes on. A pause survives restarts,
and lasts until resume, or for the time that --for gives. It takes the place of one that is there.`,
		Example: "  wablock pause --reason 'wrong file, ticket 42'\n  wablock pause --all --operation block --for 2h --reason 'abuse review'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.lastsSaid = cmd.Flags().Changed("for")
			return c.run(cmd, c.pause)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&c.reason, "reason", "", "why, which is shown wherever its users wait (required)")
	durationVar(cmd.Flags(), &c.lasts, "for", 0, "end the pause after this time, for example 2h (default when it is resumed)")
	return cmd
}

func resumeCommand(parent *cli) *cobra.Command {
	c := &pausing{cli: parent}
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Let the calls go on that pause stopped",
		Long: `Ends the pause of a phone number ID, or with --all the pause of all. A pause of one phone number ID goes on
when the pause of all ends, and the other way round.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd, c.resume) },
	}
	c.flags(cmd)
	return cmd
}

func (c *pausing) check(resume bool) error {
	if c.operation != "" {
		if err := oneOf("operation", c.operation, string(ledger.Block), string(ledger.Unblock)); err != nil {
			return err
		}
	}
	if err := c.checkBy(); err != nil || resume {
		return err
	}
	if strings.TrimSpace(c.reason) == "" {
		return usagef("a pause needs a reason, which is shown wherever its users wait: give it with --reason TEXT")
	}
	if c.lastsSaid && (c.lasts < pause.MinTime || c.lasts > pause.MaxTime) {
		return usagef("--for is %v; allowed: from 1s to 365d", c.lasts)
	}
	return checkText("reason", c.reason, pause.MaxReason)
}

// checkAll refuses all phone number IDs together with one of them: one of them is a mistake.
func checkAll(cmd *cobra.Command, all bool) error {
	if all && cmd.Flags().Changed("phone-number-id") {
		return usagef("--all means all phone number IDs, and --phone-number-id one of them: leave one out")
	}
	return nil
}

func (c *pausing) run(cmd *cobra.Command, do func(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) error) error {
	if err := cmp.Or(c.check(cmd.Name() == "resume"), checkAll(cmd, c.all)); err != nil {
		return err
	}
	cfg, err := c.config(cmd)
	if err != nil {
		return err
	}
	phoneNumberID := ""
	if !c.all {
		n, err := cfg.Selected()
		if err != nil {
			return fmt.Errorf("%w; --all is for all", err)
		}
		phoneNumberID = n.ID
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	return do(cmd.Context(), rdb, phoneNumberID)
}

func (c *pausing) pause(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) error {
	by := c.name(c.cli)
	set, err := pause.Set(ctx, rdb, pause.Request{
		PhoneNumberID: phoneNumberID, Operation: ledger.Operation(c.operation), Reason: c.reason, RequestedBy: by, For: c.lasts,
	})
	if errors.Is(err, pause.ErrInvalid) {
		return usagef("%v", err)
	}
	if err != nil {
		return err
	}
	e := audit.Event{Action: audit.Pause, By: by, PhoneNumberID: phoneNumberID, Operation: c.operation, Reason: c.reason}
	var lines []string
	for _, p := range set {
		lines = append(lines, p.String())
	}
	if c.lasts > 0 {
		e.Detail = "for " + c.lasts.String()
	}
	recordDone(ctx, c.cli, rdb, e)
	return unwritten(answerWith(c.cli, reply.OfPauses(phoneNumberID, set), lines...), "the pause holds all the same")
}

func (c *pausing) resume(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string) error {
	cleared, err := pause.Clear(ctx, rdb, phoneNumberID, ledger.Operation(c.operation))
	if err != nil {
		return err
	}
	if len(cleared) > 0 {
		recordDone(ctx, c.cli, rdb, audit.Event{Action: audit.Resume, By: c.name(c.cli), PhoneNumberID: phoneNumberID, Operation: c.operation})
	}
	left, err := pauses(ctx, rdb, phoneNumberID)
	if err != nil {
		return err
	}
	for _, p := range left {
		c.say("still: %s", p)
	}
	text := fmt.Sprintf("resumed: %s", strings.Trim(fmt.Sprint(cleared), "[]"))
	if len(cleared) == 0 {
		text = "nothing was paused"
	}
	return unwritten(answerWith(c.cli, reply.OfResumed(phoneNumberID, cleared), text), "it is resumed all the same")
}

// pauses returns the pauses that hold for some phone number IDs, each once; "" stands for all alone.
func pauses(ctx context.Context, rdb redis.UniversalClient, phoneNumberIDs ...string) ([]pause.Pause, error) {
	return pause.Of(ctx, rdb, slices.DeleteFunc(slices.Clone(phoneNumberIDs), func(id string) bool { return id == "" })...)
}

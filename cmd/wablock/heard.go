package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/reply"
)

// heard is the command of the same name.
type heard struct {
	*cli
	numberFlags
	at    string
	wrote time.Time
}

func heardCommand(parent *cli) *cobra.Command {
	c := &heard{cli: parent}
	cmd := &cobra.Command{
		Use:   "heard [NUMBER...]",
		Short: "Tell that users have written to the business",
		Long: `Tells that users have written, as the webhook does by itself: Meta lets a business block those who wrote to it in
the last 24 hours. Blocks that were refused for that reason (131047) are asked for again at once, at most once
a minute and user. To tell it again changes nothing.` + numbersHelp,
		Example: "  wablock heard +16505551234\n  wablock heard --file senders.csv --at 2026-11-26T09:30:00Z",
		RunE:    c.run,
	}
	f := cmd.Flags()
	c.add(f, fileUsage)
	f.StringVar(&c.at, "at", "", "`time` at which they wrote (default now); more than 24 hours ago has no effect")
	return cmd
}

func (c *heard) run(cmd *cobra.Command, args []string) error {
	if c.at != "" {
		var err error
		if c.wrote, err = time.Parse(time.RFC3339, c.at); err != nil {
			return usagef("--at is %q; allowed: a time such as 2026-11-26T09:30:00Z", c.at)
		}
		if c.wrote.Unix() <= 0 {
			return usagef("--at is %q; allowed: a time of the last 24 hours", c.at)
		}
	}
	ctx := cmd.Context()
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return err
	}
	in, err := readInputs(ctx, c.cli, args, c.numberFlags, cfg.DefaultCountry)
	if err != nil {
		return err
	}
	rdb, err := app.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	producer, err := app.NewProducer(cfg, rdb, number.ID, logger(c.cli, cfg, c.err))
	if err != nil {
		return err
	}
	if c.wrote.IsZero() {
		if c.wrote, err = rdb.Time(ctx).Result(); err != nil {
			return err
		}
	}
	events := make([]tasks.HeardEvent, len(in.users))
	for i, u := range in.users {
		events[i] = tasks.HeardEvent{User: u.Reveal(), At: c.wrote}
	}
	report, err := producer.Heard(ctx, events...)
	if err != nil {
		return fmt.Errorf("%w; repeat the command", err)
	}
	if len(report.Rejected) > 0 { // all for one reason: their time
		c.say("%s rejected: %s", amounts.Count(len(report.Rejected), "number"), report.Rejected[0].Reason)
	}
	if report.TooOld > 0 {
		c.say("that is more than 24 hours ago: it has no effect")
	}
	report.Rejected = append(in.rejected, report.Rejected...)
	answer := reply.OfHeard(number.ID, report)
	if c.json {
		err = printOne(c.out, answer)
	} else {
		_, err = fmt.Fprintf(c.out, "Heard: %s; %s asked for again.\n", amounts.Count(answer.Accepted, "number"), amounts.Thousands(answer.Revived))
	}
	if n := len(answer.Rejected); n > 0 {
		err = errors.Join(err, partlyf("%s rejected", amounts.Count(n, "input")))
	}
	return err
}

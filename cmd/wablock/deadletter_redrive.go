package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/reply"
)

// redrive is the command `dead-letter redrive`.
type redrive struct {
	*cli
	choice
	requester
	waitFlags
	queue   string
	dryRun  bool
	entries *preview // of a dry run
}

func redriveCommand(parent *cli) *cobra.Command {
	c := &redrive{cli: parent}
	cmd := &cobra.Command{
		Use:   "redrive [NUMBER...]",
		Short: "Ask again for what failed",
		Long: `Asks again for what the entries asked for, as new requests, and deletes the entries. What
was done or asked for anew since is only deleted; entries of protected users stay. 131047 fails again until the user has
written to the business.`,
		Example: "  wablock dead-letter redrive --code 139103 --wait\n  wablock dead-letter redrive --all --dry-run",
		RunE:    c.run,
	}
	f := cmd.Flags()
	c.flags(f, "everything")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	c.addWait(f, "stay until every number is settled")
	c.addBy(f)
	f.StringVar(&c.queue, "queue", "", "interactive or bulk (default by the number of entries)")
	return cmd
}

func (c *redrive) check(args []string) error {
	if c.queue != "" {
		if err := oneOf("queue", c.queue, queueNames()...); err != nil {
			return err
		}
	}
	if c.dryRun && c.wait {
		return usagef("--dry-run has nothing to --wait for: leave one out")
	}
	if err := c.checkWait(); err != nil {
		return err
	}
	if err := c.checkBy(); err != nil {
		return err
	}
	return c.explicit(args, "redrive")
}

func (c *redrive) run(cmd *cobra.Command, args []string) error {
	if err := c.check(args); err != nil {
		return err
	}
	d, err := openDeadLetters(c.cli, cmd, args, c.choice)
	if err != nil {
		return err
	}
	defer d.close()
	c.entries = newPreview(c.cli, append(deadLetterColumns(), "action")...)
	report, err := c.redrive(cmd.Context(), d)
	if n := report.Redriven + report.Obsolete; n > 0 && !c.dryRun {
		recordDone(cmd.Context(), c.cli, d.rdb, c.event(audit.Redrive, c.name(c.cli), d, args, n))
	}
	answer := reply.OfRedrive(report, c.dryRun)
	if c.wait {
		answer.Settled = &reply.Settled{}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w; repeat the command for the rest", err), c.show(answer))
	}
	if !c.wait || len(report.Jobs) == 0 {
		return errors.Join(c.show(answer), refusedError(report))
	}
	progress, err := (&waiter{c.cli, c.waitFlags, d.rdb, d.producer}).until(cmd.Context(), report.Jobs...)
	answer.Settled = reply.OfProgress(progress)
	if err := c.show(answer); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return errors.Join(deadError(progress), refusedError(report))
}

// redrive runs over all filters.
func (c *redrive) redrive(ctx context.Context, d *deadLetters) (deadletter.RedriveReport, error) {
	var sum deadletter.RedriveReport
	o := deadletter.RedriveOptions{DryRun: c.dryRun, Queue: ledger.Queue(c.queue), Requester: c.name(c.cli)}
	if c.dryRun {
		o.Each = func(e deadletter.Letter, action deadletter.Action, _ string) {
			j := reply.OfLetter(e)
			j.Action = action
			c.entries.show(j, func() []string { return append(deadLetterRow(j), string(action)) })
		}
	}
	for _, f := range d.filters {
		report, err := deadletter.Redrive(ctx, d.queue, d.producer, f, o)
		sum.Redriven += report.Redriven
		sum.Obsolete += report.Obsolete
		sum.Refused += report.Refused
		sum.Protected += report.Protected
		for _, j := range report.Jobs {
			if !c.wait {
				j.Users = nil
			}
			sum.Jobs = append(sum.Jobs, j)
		}
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (c *redrive) show(r reply.Redrive) error {
	rest := amounts.Thousands(r.Obsolete) + " obsolete"
	if r.Protected > 0 {
		rest += ", " + amounts.Thousands(r.Protected) + " protected, which stay"
	}
	if c.dryRun {
		if err := c.entries.end(r); err != nil || c.json {
			return err
		}
		_, err := fmt.Fprintf(c.out, "Would redrive: %s; %s.\n", amounts.Count(r.Redriven, "entry"), rest)
		return err
	}
	var err error
	if c.json {
		err = printOne(c.out, r)
	} else {
		_, err = fmt.Fprintf(c.out, "Redriven: %s in %s; %s.\n", amounts.Count(r.Redriven, "entry"), amounts.Count(len(r.Jobs), "job"), rest)
	}
	return unwritten(err, "%s were redriven, %s were obsolete", amounts.Count(r.Redriven, "entry"), amounts.Thousands(r.Obsolete))
}

// refusedError returns the error of a run that left entries where they are.
func refusedError(r deadletter.RedriveReport) error {
	var errs []error
	if r.Protected > 0 {
		errs = append(errs, partlyf("%s of protected users stay: `wablock protect list` says why they are, discard deletes the entries", amounts.Count(r.Protected, "entry")))
	}
	if r.Refused > 0 {
		errs = append(errs, partlyf("%s can't be read, now as before, and stay: `wablock dead-letter list` says why, discard deletes them", amounts.Count(r.Refused, "malformed task")))
	}
	return errors.Join(errs...)
}

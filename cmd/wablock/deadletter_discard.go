package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/reply"
)

// discard is the command `dead-letter discard`.
type discard struct {
	*cli
	choice
	requester
	dryRun  bool
	entries *preview // of a dry run
}

func discardCommand(parent *cli) *cobra.Command {
	c := &discard{cli: parent}
	cmd := &cobra.Command{
		Use:   "discard [NUMBER...]",
		Short: "Delete entries without retrying",
		Long:  "Deletes entries: they are not tried again, unless the same is requested anew.",
		RunE:  c.run,
	}
	c.flags(cmd.Flags(), "everything")
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	c.addBy(cmd.Flags())
	return cmd
}

func (c *discard) run(cmd *cobra.Command, args []string) error {
	if err := errors.Join(c.explicit(args, "discard"), c.checkBy()); err != nil {
		return err
	}
	d, err := openDeadLetters(c.cli, cmd, args, c.choice)
	if err != nil {
		return err
	}
	defer d.close()
	answer := reply.Discard{DryRun: c.dryRun}
	o := deadletter.DiscardOptions{DryRun: c.dryRun}
	if c.dryRun {
		c.entries = newPreview(c.cli, deadLetterColumns()...)
		o.Each = func(e deadletter.Letter) {
			j := reply.OfLetter(e)
			c.entries.show(j, func() []string { return deadLetterRow(j) })
		}
	}
	defer func() {
		if answer.Discarded > 0 && !c.dryRun {
			recordDone(cmd.Context(), c.cli, d.rdb, c.event(audit.Discard, c.name(c.cli), d, args, answer.Discarded))
		}
	}()
	for _, f := range d.filters {
		n, err := d.queue.Discard(cmd.Context(), f, o)
		answer.Discarded += n
		if err != nil {
			return errors.Join(fmt.Errorf("%w; repeat the command for the rest", err), c.show(answer))
		}
	}
	return c.show(answer)
}

func (c *discard) show(r reply.Discard) error {
	if c.dryRun {
		if err := c.entries.end(r); err != nil || c.json {
			return err
		}
		_, err := fmt.Fprintf(c.out, "Would discard: %s.\n", amounts.Count(r.Discarded, "entry"))
		return err
	}
	var err error
	if c.json {
		err = printOne(c.out, r)
	} else {
		_, err = fmt.Fprintf(c.out, "Discarded: %s.\n", amounts.Count(r.Discarded, "entry"))
	}
	return unwritten(err, "%s were discarded", amounts.Count(r.Discarded, "entry"))
}

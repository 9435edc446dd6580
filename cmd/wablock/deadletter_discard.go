package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks"
)

func (a *app) discardCommand() *cobra.Command {
	var c choice
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "discard [NUMBER...]",
		Short: "Let go of entries",
		Long:  "Deletes entries: nobody will try them again, unless somebody asks anew.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.explicit(args, "discard"); err != nil {
				return err
			}
			return a.discard(cmd, args, c, dryRun)
		},
	}
	c.flags(cmd.Flags(), "everything")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be done, and change nothing")
	return cmd
}

// discardJSON is the answer of `dead-letter discard`.
type discardJSON struct {
	Discarded int              `json:"discarded"`
	DryRun    bool             `json:"dry_run"`
	Entries   []deadLetterJSON `json:"entries,omitempty"` // of a dry run
}

func (a *app) discard(cmd *cobra.Command, args []string, c choice, dryRun bool) error {
	d, err := a.deadLetters(cmd, args, c)
	if err != nil {
		return err
	}
	defer d.close()
	answer := discardJSON{DryRun: dryRun}
	o := tasks.DiscardOptions{DryRun: dryRun}
	if dryRun {
		o.Each = func(e tasks.DeadLetter) { answer.Entries = append(answer.Entries, deadLetterAnswer(e)) }
	}
	for _, f := range d.filters {
		n, err := d.queue.Discard(cmd.Context(), f, o)
		answer.Discarded += n
		if err != nil {
			return errors.Join(fmt.Errorf("%w; repeat the command for the rest", err), a.showDiscard(answer))
		}
	}
	return a.showDiscard(answer)
}

func (a *app) showDiscard(r discardJSON) error {
	if a.json {
		return printOne(a.out, r)
	}
	verb := "Discarded"
	if r.DryRun {
		out := a.answer(deadLetterColumns()...)
		for _, e := range r.Entries {
			if err := out.add(e, e.row); err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
		verb = "Would discard"
	}
	_, err := fmt.Fprintf(a.out, "%s: %s.\n", verb, count(r.Discarded, "entry"))
	return err
}

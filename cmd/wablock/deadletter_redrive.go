package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// redrive is what `dead-letter redrive` was asked for.
type redrive struct {
	choice
	queue        string
	dryRun, wait bool
}

func (a *app) redriveCommand() *cobra.Command {
	var r redrive
	cmd := &cobra.Command{
		Use:   "redrive [NUMBER...]",
		Short: "Ask again for what failed",
		Long: `Asks again for what the entries asked for, as new requests, and deletes the entries. What
was done or asked for anew since is only deleted. 131047 fails again until the user has
written to the business.`,
		Example: "  wablock dead-letter redrive --code 139103 --wait\n  wablock dead-letter redrive --all --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.redrive(cmd, args, r)
		},
	}
	f := cmd.Flags()
	r.flags(f, "everything")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would be done, and change nothing")
	f.BoolVar(&r.wait, "wait", false, "stay until every number is settled")
	f.StringVar(&r.queue, "queue", "", "interactive or bulk (default by the number of entries)")
	return cmd
}

func (r redrive) check(args []string) error {
	if r.queue != "" {
		if err := oneOf("queue", r.queue, string(ledger.Interactive), string(ledger.Bulk)); err != nil {
			return err
		}
	}
	if r.dryRun && r.wait {
		return usagef("--dry-run has nothing to --wait for: leave one out")
	}
	return r.explicit(args, "redrive")
}

// redriveJSON is the answer of redrive and discard.
type redriveJSON struct {
	Redriven int              `json:"redriven"`
	Obsolete int              `json:"obsolete"`
	Refused  int              `json:"refused"`
	DryRun   bool             `json:"dry_run"`
	Jobs     []jobJSON        `json:"jobs"`
	Entries  []deadLetterJSON `json:"entries,omitempty"` // of a dry run
	*settledJSON
}

func (a *app) redrive(cmd *cobra.Command, args []string, r redrive) error {
	if err := r.check(args); err != nil {
		return err
	}
	d, err := a.deadLetters(cmd, args, r.choice)
	if err != nil {
		return err
	}
	defer d.close()
	report, entries, err := d.redrive(cmd.Context(), r)
	answer := redriveJSON{Redriven: report.Redriven, Obsolete: report.Obsolete, Refused: report.Refused, DryRun: r.dryRun, Jobs: []jobJSON{}, Entries: entries}
	for _, j := range report.Jobs {
		answer.Jobs = append(answer.Jobs, jobAnswer(j))
	}
	if r.wait {
		answer.settledJSON = &settledJSON{}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w; repeat the command for the rest", err), a.showRedrive(answer))
	}
	if !r.wait || len(report.Jobs) == 0 {
		return errors.Join(a.showRedrive(answer), refusedError(report))
	}
	progress, err := a.wait(cmd.Context(), d.producer, report.Jobs...)
	answer.settledJSON = &settledJSON{progress.Succeeded, progress.DeadLettered, progress.Superseded, progress.Pending}
	if err := a.showRedrive(answer); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return errors.Join(deadError(progress), refusedError(report))
}

// redrive runs over all filters. Of a dry run it returns the entries too.
func (d *deadLetters) redrive(ctx context.Context, r redrive) (tasks.RedriveReport, []deadLetterJSON, error) {
	var sum tasks.RedriveReport
	var entries []deadLetterJSON
	o := tasks.RedriveOptions{DryRun: r.dryRun, Queue: ledger.Queue(r.queue)}
	if r.dryRun {
		o.Each = func(e tasks.DeadLetter, action tasks.Action, _ string) {
			j := deadLetterAnswer(e)
			j.Action = action
			entries = append(entries, j)
		}
	}
	for _, f := range d.filters {
		report, err := d.queue.Redrive(ctx, d.producer, f, o)
		sum.Redriven += report.Redriven
		sum.Obsolete += report.Obsolete
		sum.Refused += report.Refused
		sum.Jobs = append(sum.Jobs, report.Jobs...)
		if err != nil {
			return sum, entries, err
		}
	}
	return sum, entries, nil
}

func (a *app) showRedrive(r redriveJSON) error {
	if a.json {
		return printOne(a.out, r)
	}
	if r.DryRun {
		out := a.answer(append(deadLetterColumns(), "action")...)
		for _, e := range r.Entries {
			if err := out.add(e, func() []string { return append(e.row(), string(e.Action)) }); err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("Redriven: %s in %s", count(r.Redriven, "entry"), count(len(r.Jobs), "job"))
	if r.DryRun {
		what = "Would redrive: " + count(r.Redriven, "entry")
	}
	_, err := fmt.Fprintf(a.out, "%s; %s obsolete.\n", what, thousands(r.Obsolete))
	return err
}

func refusedError(r tasks.RedriveReport) error {
	if r.Refused == 0 {
		return nil
	}
	return partlyf("%s can't be read, now as before, and stay: `wablock dead-letter list` says why, discard lets go of them", count(r.Refused, "malformed task"))
}

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
)

// cancel is the command `cancel`.
type cancel struct {
	*cli
	requester
	dryRun bool
}

func cancelCommand(parent *cli) *cobra.Command {
	c := &cancel{cli: parent}
	cmd := &cobra.Command{
		Use:   "cancel JOB_ID",
		Short: "Withdraw what has not gone out of a job",
		Long: `Withdraws the numbers of a job that have not gone out, planned ones included: what each was before is
restored, and what the job had displaced while it waited goes on. Numbers in a call end as they end; undo asks
for the opposite of those, and of what is done.`,
		Example: "  wablock pause --reason 'wrong file'\n  wablock cancel spam-2026-11-25\n  wablock resume",
		Args:    cobra.ExactArgs(1),
		RunE:    c.run,
	}
	c.addBy(cmd.Flags())
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	return cmd
}

func (c *cancel) run(cmd *cobra.Command, args []string) error {
	if err := c.checkBy(); err != nil {
		return err
	}
	p, rdb, err := producerOf(c.cli, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	done, err := p.Cancel(cmd.Context(), args[0], c.dryRun, tasks.WithRequester(c.name(c.cli)))
	if err != nil {
		return cancelError(err, args[0])
	}
	would := ""
	if c.dryRun {
		would = "would be "
	}
	line := fmt.Sprintf("Job %s: %s %scanceled; %s in calls, which end as they end; %s had ended.",
		done.JobID, amounts.Count(done.Canceled, "number"), would, amounts.Thousands(done.InFlight), amounts.Thousands(done.Settled))
	return unwritten(answerWith(c.cli, done, line), "the job is canceled all the same")
}

// cancelError adds the next step to the error of a job that can't be canceled or undone.
func cancelError(err error, id string) error {
	switch {
	case errors.Is(err, tasks.ErrJobEnded):
		return &exitError{code: exitFailed, text: fmt.Sprintf("job %s is done: nothing of it is left to cancel; `wablock undo` asks for the opposite of what it did", id)}
	case errors.Is(err, tasks.ErrJobCanceled):
		return &exitError{code: exitFailed, text: fmt.Sprintf("job %s was canceled before: `wablock job` shows what became of it, `wablock undo` asks for the opposite of what it did", id)}
	case errors.Is(err, tasks.ErrUndo):
		return &exitError{code: exitFailed, text: fmt.Sprintf("job %s undoes another job, which it names, and is not undone itself: ask for what that one asked for, in a new job", id)}
	case errors.Is(err, tasks.ErrListGone):
		return &exitError{code: exitFailed, text: "the list of the job's numbers is no longer kept, so they can't be named: ask for the opposite with the numbers themselves"}
	}
	return jobError(err, id)
}

// undo is the command `undo`.
type undo struct {
	*cli
	textFlags
	dryRun bool
}

func undoCommand(parent *cli) *cobra.Command {
	c := &undo{cli: parent}
	cmd := &cobra.Command{
		Use:   "undo JOB_ID",
		Short: "Cancel a job, and ask for the opposite of what it has done",
		Long: `Cancels what has not gone out of a job, and asks for the opposite, in a job of its own, for exactly those
numbers that the job has changed and that no later request has named. A number that was blocked before a
block stays blocked.

Meta lets a business block only those who wrote to it in the last 24 hours: when an unblock is undone,
blocks may be refused.`,
		Example: "  wablock undo spam-2026-11-25 --dry-run\n  wablock undo spam-2026-11-25 --reason 'wrong file'",
		Args:    cobra.ExactArgs(1),
		RunE:    c.run,
	}
	c.addText(cmd.Flags())
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	return cmd
}

func (c *undo) run(cmd *cobra.Command, args []string) error {
	if err := c.checkText(c.cli); err != nil {
		return err
	}
	p, rdb, err := producerOf(c.cli, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	done, err := p.Undo(cmd.Context(), args[0], tasks.UndoRequest{Requester: c.by, Reason: c.reason, Reference: c.reference, DryRun: c.dryRun})
	if err != nil {
		return cancelError(err, args[0])
	}
	parts := []string{
		amounts.Count(done.Canceled, "number") + " canceled", amounts.Thousands(done.Reversed) + " reversed", amounts.Thousands(done.Left) + " left as they are",
	}
	line := fmt.Sprintf("Job %s: %s", done.JobID, strings.Join(parts, ", "))
	switch {
	case c.dryRun:
		line = strings.Replace(line, "Job", "A dry run of undoing job", 1)
	case done.UndoJobID != "":
		line += ", by job " + done.UndoJobID
	}
	return unwritten(answerWith(c.cli, done, line+"."), "the job is undone all the same")
}

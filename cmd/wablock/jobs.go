package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/reply"
)

// producerOf connects to Redis for a command about one phone number. close gives the connection back.
func producerOf(c *cli, cmd *cobra.Command) (p *tasks.Producer, rdb redis.UniversalClient, err error) {
	cfg, number, err := c.selected(cmd)
	if err != nil {
		return nil, nil, err
	}
	if rdb, err = app.Connect(cmd.Context(), cfg); err != nil {
		return nil, nil, err
	}
	p, err = app.NewProducer(cfg, rdb, number.ID, logger(c, cfg, c.err))
	return p, rdb, err
}

// jobs is the command `jobs`.
type jobs struct {
	*cli
	limit int
	state string
}

func jobsCommand(parent *cli) *cobra.Command {
	c := &jobs{cli: parent}
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Show the recent jobs, newest first",
		Long: `Shows the recent jobs of a phone number ID: who asked for what, and how far it is. Jobs are
kept for 30 days, up to 100,000 of them, unless WABLOCK_JOB_RETENTION and WABLOCK_MAX_JOBS say
otherwise.`,
		Example: "  wablock jobs --state planned\n  wablock jobs --limit 1000 --json",
		Args:    noArgs,
		RunE:    c.run,
	}
	cmd.Flags().IntVar(&c.limit, "limit", tasks.DefaultJobs, "show no more jobs than this")
	cmd.Flags().StringVar(&c.state, "state", "", "show only jobs in this state: waiting, planned, done or canceled")
	return cmd
}

func (c *jobs) run(cmd *cobra.Command, _ []string) error {
	if c.limit < 1 {
		return usagef("--limit is %d; allowed: from 1 up", c.limit)
	}
	if c.state != "" {
		if err := oneOf("state", c.state, jobStates()...); err != nil {
			return err
		}
	}
	p, rdb, err := producerOf(c.cli, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	out := newAnswer(c.cli, "job", "by", "what", "asked", "numbers", "succeeded", "dead", "superseded", "canceled", "pending", "state")
	n := 0
	for j, err := range p.Jobs(cmd.Context(), tasks.JobsFilter{State: tasks.JobState(c.state), Limit: c.limit}) {
		if err != nil {
			return err
		}
		n++
		if err := out.add(j, func() []string { return jobRow(j) }); err != nil {
			return err
		}
	}
	if n == 0 && !c.json {
		c.say("no jobs")
	}
	return out.flush()
}

func jobRow(j tasks.JobStatus) []string {
	state := string(j.State)
	if j.State == tasks.JobPlanned {
		state = "planned for " + stamp(j.PlannedAt)
	}
	return []string{
		j.ID, j.RequestedBy, string(j.Operation), stamp(j.RequestedAt), amounts.Thousands(j.Accepted), amounts.Thousands(j.Succeeded), amounts.Thousands(j.DeadLettered),
		amounts.Thousands(j.Superseded), amounts.Thousands(j.Canceled), amounts.Thousands(j.Pending), state,
	}
}

// job is the command `job`.
type job struct {
	*cli
	waitFlags
	csv string
}

func jobCommand(parent *cli) *cobra.Command {
	c := &job{cli: parent}
	cmd := &cobra.Command{
		Use:   "job JOB_ID",
		Short: "Show one job: who asked, why, and what came of it",
		Long: `Shows who asked for a job, when and why, how far it is, and the dead-lettered by code. --csv
writes a row for each number that was accepted, and each input that was rejected, with its
result and reason. Counts are of when each number ended: what was redriven or asked for again
since is another job's.`,
		Example: "  wablock job spam-2026-11-25 --wait\n  wablock job spam-2026-11-25 --csv report.csv",
		Args:    cobra.ExactArgs(1),
		RunE:    c.run,
	}
	c.addWait(cmd.Flags(), "stay until every number of the job is settled")
	cmd.Flags().StringVar(&c.csv, "csv", "", "write the result of each number to this `file`; - is standard output")
	return cmd
}

func (c *job) run(cmd *cobra.Command, args []string) error {
	if err := c.checkWait(); err != nil {
		return err
	}
	p, rdb, err := producerOf(c.cli, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	j, err := p.Job(cmd.Context(), args[0])
	if err != nil {
		return jobError(err, args[0])
	}
	var interrupted error
	if c.wait {
		j, interrupted = (&waiter{c.cli, c.waitFlags, rdb, p}).untilJob(cmd.Context(), j)
	}
	if c.csv != "" {
		if err := c.report(cmd.Context(), p, args[0]); err != nil {
			return errors.Join(jobError(err, args[0]), interrupted)
		}
	}
	if c.csv != "-" {
		if err := c.show(j); err != nil {
			return err
		}
	}
	if interrupted != nil {
		return interrupted
	}
	return jobPartly(j)
}

// jobPartly returns the error of a job some of whose numbers failed.
func jobPartly(j tasks.JobStatus) error {
	var parts []string
	if j.DeadLettered > 0 {
		parts = append(parts, amounts.Count(j.DeadLettered, "number")+" dead-lettered")
	}
	if j.Rejected > 0 {
		parts = append(parts, amounts.Count(j.Rejected, "input")+" rejected")
	}
	if len(parts) == 0 {
		return nil
	}
	return partlyf("%s", strings.Join(parts, ", "))
}

// report writes the CSV, to a file such that a broken run leaves no half of one.
func (c *job) report(ctx context.Context, p *tasks.Producer, id string) (err error) {
	if c.csv == "-" {
		return reply.WriteReport(c.out, p.JobUsers(ctx, id), client.Explain)
	}
	const mode = 0o600 // it names people
	temporary := c.csv + ".part"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode) //nolint:gosec // the file that was asked for
	if err != nil {
		return fmt.Errorf("--csv: %w", err)
	}
	err = errors.Join(reply.WriteReport(io.Writer(f), p.JobUsers(ctx, id), client.Explain), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, c.csv)
}

func (c *job) show(j tasks.JobStatus) error {
	lines := []string{fmt.Sprintf("Job %s: %s to %s for phone number ID %s; %s.", j.ID, amounts.Count(j.Accepted, "number"), j.Operation, j.PhoneNumberID, j.State)}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, fmt.Sprintf("  %-13s %s", name, value))
		}
	}
	add("requested by", j.RequestedBy)
	add("reason", j.Reason)
	add("reference", j.Reference)
	add("requested at", stamp(j.RequestedAt))
	add("planned for", stamp(j.PlannedAt))
	add("blocks end", stamp(j.Until))
	add("undoes", j.UndoOf)
	add("settled at", stamp(j.SettledAt))
	add("waits", j.WaitingText)
	add("expected at", stamp(j.ExpectedAt))
	add("succeeded", amounts.Thousands(j.Succeeded))
	for _, n := range []struct {
		name string
		n    int
	}{{"dead-lettered", j.DeadLettered}, {"superseded", j.Superseded}, {"canceled", j.Canceled}, {"pending", j.Pending}, {"rejected", j.Rejected}} {
		if n.n > 0 {
			add(n.name, amounts.Thousands(n.n))
		}
	}
	for _, code := range slices.SortedFunc(maps.Keys(j.Codes), func(a, b int) int { return cmp.Compare(j.Codes[b], j.Codes[a]) }) {
		help, _ := client.Explain(code)
		lines = append(lines, fmt.Sprintf("  %s × %s: %s", amounts.Thousands(j.Codes[code]), cmp.Or(codeText(code), "no code"), help))
	}
	return answerWith(c.cli, j, lines...)
}

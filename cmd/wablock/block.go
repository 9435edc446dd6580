package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/ledger"
	numberfile "github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/reply"
)

func blockCommand(c *cli) *cobra.Command {
	return changeCommand(c, ledger.Block, "Enqueue a block job", `Enqueues a job that blocks users on a business phone number. A user can be blocked who
wrote to that number in the last 24 hours. The job is carried out by a running worker.`)
}

func unblockCommand(c *cli) *cobra.Command {
	return changeCommand(c, ledger.Unblock, "Enqueue an unblock job", `Enqueues a job that unblocks users on a business phone number. It can't always be taken
back: a user can be blocked again only within 24 hours of writing to that number.`)
}

// change is the command `block` or `unblock`.
type change struct {
	*cli
	numberFlags
	op               ledger.Operation
	queue, job       string
	delay, retention time.Duration
	lasts            time.Duration
	until            string
	ends             time.Time // of lasts or until
	asOf             string
	askedAt          time.Time // of asOf
	dryRun           bool
	everywhere       bool
	waitFlags
	textFlags
}

func changeCommand(parent *cli, op ledger.Operation, short, long string) *cobra.Command {
	c := &change{cli: parent, op: op}
	cmd := &cobra.Command{
		Use:     string(op) + " [NUMBER...]",
		Short:   short,
		Long:    long + numbersHelp,
		Example: fmt.Sprintf("  wablock %[1]s +16505551234 --wait\n  wablock %[1]s --file numbers.csv\n  grep … | wablock %[1]s --file -", op),
		RunE:    c.run,
	}
	f := cmd.Flags()
	c.add(f, fileUsage)
	f.StringVar(&c.queue, "queue", "", "interactive or bulk (default interactive up to 50 numbers, else bulk)")
	c.addWait(f, "stay until every number of the job is settled")
	durationVar(f, &c.delay, "delay", 0, "put the job off, for example by 7d")
	if op == ledger.Block {
		durationVar(f, &c.lasts, "for", 0, "end the block by itself after this time, for example 7d, counted from when it begins")
		f.StringVar(&c.until, "until", "", "end the block by itself at this `time`, RFC 3339")
		f.BoolVar(&c.everywhere, "everywhere", false, "block on every configured phone number ID; where a user has not written yet, wait for that")
	} else { // so that the answer says what to do in their place
		durationVar(f, &c.lasts, "for", 0, "")
		f.StringVar(&c.until, "until", "", "")
		_, _ = f.MarkHidden("for"), f.MarkHidden("until") // they exist
	}
	f.StringVar(&c.job, "job-id", "", "name of the job, with which it is safe to repeat (default a random one)")
	durationVar(f, &c.retention, "retention", tasks.DefaultRetention, "how long the job's results stay readable")
	f.StringVar(&c.asOf, "as-of", "", "order the request by this `time` of the event behind it instead of now, RFC 3339: a newer request wins")
	f.BoolVar(&c.dryRun, "dry-run", false, "say what would be asked for and how long it takes, and change nothing")
	c.addText(f)
	return cmd
}

func (c *change) check(forGiven bool) error {
	if c.queue != "" {
		if err := oneOf("queue", c.queue, queueNames()...); err != nil {
			return err
		}
	}
	if c.job != "" {
		if err := tasks.CheckJobID(c.job); err != nil {
			return usagef("--job-id: %v", err)
		}
	}
	if c.delay < 0 || c.delay > tasks.MaxDelay {
		return usagef("--delay is %v; allowed: from 0 up to ten years", c.delay)
	}
	if c.retention < time.Second || c.retention > tasks.MaxRetention {
		return usagef("--retention is %v; allowed: from 1s up to a year", c.retention)
	}
	if err := c.checkEnd(forGiven); err != nil {
		return err
	}
	if c.delay > 0 && c.wait {
		return usagef("--wait would last as long as --delay: leave one out")
	}
	if c.dryRun && c.wait {
		return usagef("--dry-run has nothing to --wait for: leave one out")
	}
	if c.asOf != "" {
		var err error
		if c.askedAt, err = time.Parse(time.RFC3339, c.asOf); err != nil {
			return usagef("--as-of is %q; allowed: a time such as 2026-11-25T09:30:00Z", c.asOf)
		}
	}
	if err := c.checkText(c.cli); err != nil {
		return err
	}
	return c.checkWait()
}

// checkEnd reads when a block ends by itself; forGiven says that --for was there, of whatever value.
func (c *change) checkEnd(forGiven bool) error {
	switch {
	case c.op != ledger.Block && (forGiven || c.until != ""):
		return usagef("--for and --until go with block alone: to block again later, ask with `wablock block --delay`")
	case forGiven && c.lasts == 0:
		return usagef("--for is 0s, and a block of no time is none; allowed: above zero, up to ten years; without --for the block has no end")
	case c.lasts != 0 && c.until != "":
		return usagef("--for and --until both say when the block ends: leave one out")
	case c.lasts < 0 || c.lasts > tasks.MaxDelay:
		return usagef("--for is %v; allowed: up to ten years", c.lasts)
	case c.lasts > 0:
		c.ends = time.Now().Add(c.delay + c.lasts)
	case c.until != "":
		var err error
		if c.ends, err = time.Parse(time.RFC3339, c.until); err != nil {
			return usagef("--until is %q; allowed: a time such as 2026-12-24T18:00:00Z", c.until)
		}
		if (c.job == "" || c.dryRun) && !c.ends.After(time.Now().Add(c.delay)) { // else it may be a repeat of one in time
			return usagef("--until is %s, before the block begins; allowed: a time in the future", c.until)
		}
	}
	return nil
}

func (c *change) run(cmd *cobra.Command, args []string) error {
	if err := c.check(cmd.Flags().Changed("for")); err != nil {
		return err
	}
	if c.everywhere && cmd.Flags().Changed("phone-number-id") {
		return usagef("--everywhere means every configured phone number ID, and --phone-number-id one of them: leave one out")
	}
	cfg, ids, err := c.targets(cmd)
	if err != nil {
		return err
	}
	in, err := readInputs(cmd.Context(), c.cli, args, c.numberFlags, cfg.DefaultCountry)
	if err != nil {
		if c.json && len(in.rejected) > 0 {
			out := reply.OfJob(tasks.Job{Operation: c.op, PhoneNumberID: ids[0], Rejected: in.rejected})
			out.Column = in.column
			err = errors.Join(err, printOne(c.out, out))
		}
		return err
	}
	if c.job != "" {
		if err := tasks.CheckJobID(c.job, in.users...); err != nil {
			return usagef("--job-id: %v", err)
		}
	}
	rdb, err := app.Connect(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }()
	p, err := app.NewProducer(cfg, rdb, ids[0], logger(c.cli, cfg, c.err))
	if err != nil {
		return err
	}
	if c.everywhere {
		return everywhere{c, cfg, &waiter{c.cli, c.waitFlags, rdb, p}, ids}.run(cmd.Context(), in)
	}
	protected, err := c.allowed(cmd.Context(), p, &in)
	if err != nil && (!c.dryRun || protected == 0) {
		return err
	}
	request := c.request(in)
	if err := request.Check(); err != nil {
		return usagef("%v", err)
	}
	if c.dryRun {
		request.PhoneNumberID = ids[0]
		return previewOf(cmd.Context(), c.cli, cfg, rdb, request, protected)
	}
	job, err := p.Enqueue(cmd.Context(), request)
	if err != nil {
		return enqueueFailed(cmd.Context(), cfg, err)
	}
	job.Rejected = in.rejected
	return c.enqueued(cmd.Context(), &waiter{c.cli, c.waitFlags, rdb, p}, job, in.column)
}

// targets returns the phone number IDs that the command is about: the selected one, or all of the configuration.
func (c *change) targets(cmd *cobra.Command) (*config.Config, []string, error) {
	if !c.everywhere {
		cfg, number, err := c.selected(cmd)
		return cfg, []string{number.ID}, err
	}
	cfg, err := c.config(cmd)
	if err != nil {
		return nil, nil, err
	}
	if len(cfg.PhoneNumbers) == 0 {
		_, err := cfg.Selected() // says how to configure one
		return nil, nil, err
	}
	ids := make([]string, len(cfg.PhoneNumbers))
	for i, n := range cfg.PhoneNumbers {
		ids[i] = n.ID
	}
	return cfg, ids, nil
}

func (c *change) request(in inputs) tasks.Request {
	return tasks.Request{
		Operation: c.op, Users: in.users, Queue: ledger.Queue(c.queue), Delay: c.delay, JobID: c.job, Retention: c.retention,
		AsOf: c.askedAt, Requester: c.by, Reason: c.reason, Reference: c.reference, Given: in.given, Rejected: in.rejected, Until: c.ends,
	}
}

// allowed moves the protected ones among users who are to be blocked to the rejected, and returns how many they are.
func (c *change) allowed(ctx context.Context, p *tasks.Producer, in *inputs) (protected int, err error) {
	before := len(in.rejected)
	users, rejected, err := p.Allowed(ctx, tasks.Request{Operation: c.op}, in.users, in.rejected)
	in.users, in.rejected = users, rejected
	if protected = len(rejected) - before; protected > 0 {
		c.say("%s rejected as protected; `wablock protect list` shows why", amounts.Count(protected, "number"))
	}
	if !errors.Is(err, tasks.ErrNoUsers) {
		return protected, err
	}
	err = usagef("all of the numbers are protected or not valid, and nothing was done")
	if c.json && !c.dryRun {
		err = errors.Join(err, printOne(c.out, reply.OfJob(tasks.Job{Operation: c.op, PhoneNumberID: p.PhoneNumberID(), Rejected: rejected})))
	}
	return protected, err
}

// enqueueFailed adds how to go on after a part, or nothing, was enqueued.
func enqueueFailed(ctx context.Context, cfg *config.Config, err error) error {
	e, ok := errors.AsType[*tasks.EnqueueError](err)
	if ok && errors.Is(err, tasks.ErrJobConflict) {
		return &exitError{code: exitFailed, text: fmt.Sprintf("the job ID %s belongs to another request, of other numbers, another operation or another phone number ID: choose another --job-id", e.JobID)}
	}
	if ok && errors.Is(err, tasks.ErrJobCanceled) {
		return &exitError{code: exitFailed, text: fmt.Sprintf("job %s was canceled, and is not done: choose another --job-id to ask for it anew", e.JobID)}
	}
	if errors.Is(err, tasks.ErrPastEnd) {
		return usagef("%v", err)
	}
	if !ok {
		return err
	}
	code := exitFailed
	if ctx.Err() != nil {
		code = exitInterrupted
	}
	return &exitError{code: code, err: fmt.Errorf("%w (Redis at %s); repeat the command with --job-id %s", err, cfg.Redis, e.JobID)}
}

// enqueued answers, after waiting if that was asked for.
func (c *change) enqueued(ctx context.Context, w *waiter, job tasks.Job, column *numberfile.Column) error {
	out := reply.OfJob(job)
	out.Column = column
	if !c.wait || !c.json {
		if err := c.showJob(out); err != nil {
			return err
		}
	}
	if !c.wait {
		sayIfNoWorker(c.cli, w.rdb, "the job waits")
		return rejectedError(job)
	}
	progress, err := w.until(ctx, job)
	if c.json {
		out.Settled = reply.OfProgress(progress)
		if err := c.showJob(out); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return errors.Join(deadError(progress), rejectedError(job))
}

func rejectedError(job tasks.Job) error {
	if len(job.Rejected) == 0 {
		return nil
	}
	return partlyf("%s rejected; the other %s enqueued", amounts.Count(len(job.Rejected), "input"), amounts.Thousands(job.Accepted))
}

func (c *change) showJob(j reply.Job) error {
	var err error
	if c.json {
		err = printOne(c.out, j)
	} else {
		_, err = fmt.Fprintf(c.out, "Job %s: %s to %s for phone number ID %s, in %s of the queue %s.\n",
			j.JobID, amounts.Count(j.Accepted, "number"), j.Operation, j.PhoneNumberID, amounts.Count(j.Tasks, "task"), j.Queue)
	}
	return unwritten(err, "the job %s is accepted all the same, with %s", j.JobID, amounts.Count(j.Accepted, "number"))
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/reply"
)

// everywhere is a block on every phone number ID of ids.
type everywhere struct {
	*change
	cfg    *config.Config
	waiter *waiter
	ids    []string
}

// run blocks users, or shows what that would do.
func (c everywhere) run(ctx context.Context, in inputs) error {
	request := c.request(in)
	if c.dryRun {
		return c.preview(ctx, request)
	}
	if err := request.Check(); err != nil {
		return usagef("%v", err)
	}
	for _, id := range c.ids {
		if err := tasks.CheckJobID(tasks.EverywhereJobID(c.job, id), in.users...); err != nil {
			return usagef("--job-id: %v, with @ and the phone number ID behind it", err)
		}
	}
	jobID, jobs, err := c.waiter.producer.Everywhere(ctx, c.ids, request)
	protected := 0
	for _, j := range jobs {
		protected += len(j.Rejected)
	}
	if protected > 0 {
		c.say("%s rejected as protected on one phone number ID or more; `wablock protect list` shows why", amounts.Count(protected, "number"))
	}
	out := reply.OfEverywhere(jobID, jobs, in.rejected)
	out.Column = in.column
	switch _, enqueuing := errors.AsType[*tasks.EnqueueError](err); {
	case err == nil:
	case errors.Is(err, tasks.ErrJobConflict), errors.Is(err, tasks.ErrJobCanceled), !enqueuing && !errors.Is(err, tasks.ErrNoUsers):
		return enqueueFailed(ctx, c.cfg, err)
	case enqueuing:
		return &exitError{code: exitFailed, err: fmt.Errorf("%w (Redis at %s), with %d of %d phone number IDs done; repeat the command with --job-id %s", err, c.cfg.Redis, max(0, len(jobs)-1), len(c.ids), jobID)}
	default:
		err = usagef("all of the numbers are protected on each phone number ID, and nothing was done")
		if c.json {
			err = errors.Join(err, printOne(c.out, out))
		}
		return err
	}
	if !c.wait || !c.json {
		if err := c.show(out); err != nil {
			return err
		}
	}
	rejected := tasks.Job{Accepted: out.Accepted, Rejected: append(in.rejected, make([]tasks.Rejection, protected)...)}
	if !c.wait {
		sayIfNoWorker(c.cli, c.waiter.rdb, "the jobs wait")
		return rejectedError(rejected)
	}
	accepted := make([]tasks.Job, 0, len(jobs))
	for _, j := range jobs {
		if j.Accepted > 0 {
			accepted = append(accepted, j)
		}
	}
	progress, err := c.waiter.until(ctx, accepted...)
	progress.DeadLettered -= progress.Window // they wait for the user, which is no failure of a standing block
	progress.Pending += progress.Window
	if c.json {
		out.Settled, out.Window = reply.OfProgress(progress), &progress.Window
		if err := c.show(out); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if progress.Window > 0 {
		c.say("%s: blocked as soon as the user writes to the phone number; `wablock status` shows which", amounts.Count(progress.Window, "block")+" waiting")
	}
	return errors.Join(deadError(progress), rejectedError(rejected))
}

// preview shows the effects on each phone number ID, in turn.
func (c everywhere) preview(ctx context.Context, r tasks.Request) error {
	var failed error
	for _, id := range c.ids {
		one := tasks.Request{PhoneNumberID: id, Operation: c.op, Delay: c.delay}
		users, rejected, err := c.waiter.producer.Allowed(ctx, one, r.Users, r.Rejected)
		if err != nil && !errors.Is(err, tasks.ErrNoUsers) {
			return err
		}
		one.Users, one.Rejected = users, rejected
		if err := previewOf(ctx, c.cli, c.cfg, c.waiter.rdb, one, len(rejected)-len(r.Rejected)); err != nil {
			failed = err
		}
	}
	return failed
}

func (c everywhere) show(e reply.Everywhere) error {
	if c.json {
		return unwritten(printOne(c.out, e), "the jobs %s@… are accepted all the same", e.JobID)
	}
	for _, j := range e.Jobs {
		if j.Accepted == 0 {
			if _, err := fmt.Fprintf(c.out, "No job for phone number ID %s: all of the numbers are protected there.\n", j.PhoneNumberID); err != nil {
				return unwritten(err, "the jobs %s@… are accepted all the same", e.JobID)
			}
			continue
		}
		if err := c.showJob(j); err != nil {
			return err
		}
	}
	return nil
}

package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Block asks for users to be blocked: phone numbers or BSUIDs as people write them. Inputs
// that name no user are in the Job's Rejected, and the rest goes on; without any that does,
// the error is ErrNoUsers. See [Producer.Enqueue] for the other errors.
func (p *Producer) Block(ctx context.Context, inputs []string, opts ...Option) (Job, error) {
	return p.parseAndEnqueue(ctx, ledger.Block, inputs, opts)
}

// Unblock asks for users to be unblocked; otherwise it is as Block. Meta lets a business block
// only who wrote to it in the last 24 hours, so an unblocking can't always be taken back.
func (p *Producer) Unblock(ctx context.Context, inputs []string, opts ...Option) (Job, error) {
	return p.parseAndEnqueue(ctx, ledger.Unblock, inputs, opts)
}

func (p *Producer) parseAndEnqueue(ctx context.Context, op ledger.Operation, inputs []string, opts []Option) (Job, error) {
	r, err := NewRequest(op, inputs, opts...)
	if err != nil {
		return Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if r.Users, r.Rejected, err = p.Allowed(ctx, r, r.Users, r.Rejected); err != nil {
		return Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	job, err := p.Enqueue(ctx, r)
	job.Rejected = r.Rejected
	return job, err
}

// Allowed returns the users that r may block, and the protected ones behind what was rejected before, without a
// line. All may be unblocked. A phone number ID that is wrong is left to Enqueue, which says so.
func (p *Producer) Allowed(ctx context.Context, r Request, users []user.ID, rejected []Rejection) ([]user.ID, []Rejection, error) {
	id := cmp.Or(r.PhoneNumberID, p.cfg.PhoneNumberID)
	if r.Operation != ledger.Block || queues.CheckPhoneNumberID(id) != nil {
		return users, rejected, nil
	}
	found, err := protect.Check(ctx, p.rdb, id, users)
	if err != nil || len(found) == 0 {
		return users, rejected, err
	}
	var kept []user.ID
	for _, u := range users {
		if e, protected := found[u]; protected {
			rejected = append(rejected, Rejection{Input: u.Reveal(), Reason: e.Why()})
		} else {
			kept = append(kept, u)
		}
	}
	if len(kept) == 0 {
		return nil, rejected, fmt.Errorf("%w: all that are valid are protected", ErrNoUsers)
	}
	return kept, rejected, nil
}

// Enqueue accepts a job: it takes a version, enqueues the tasks, and marks the users in the
// ledger, which wakes idle workers. It returns when all tasks are in Redis. When only a part
// got there the error is an [*EnqueueError]; every other error means that nothing was
// enqueued. The Job that comes with an error has the ID to repeat the request with.
func (p *Producer) Enqueue(ctx context.Context, r Request) (Job, error) {
	named := r.JobID != ""
	given := r.Users
	r, err := r.Complete(p.cfg)
	if err != nil {
		return Job{ID: r.JobID, Operation: r.Operation}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if !named {
		r.JobID = newJobID()
	}
	e := newEnqueuing(p, r)
	job := Job{
		ID: r.JobID, Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, Queue: r.Queue,
		Users: r.Users, Accepted: len(r.Users), Tasks: e.parts,
	}
	if named {
		job.Users, _ = distinct(given) // complete has seen that they are right
	}
	err = e.run(ctx, named)
	job.Version, job.Repeated = e.version, e.repeated
	if errors.Is(err, ErrPastEnd) {
		job.Accepted, job.Tasks = 0, 0
		return job, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if err != nil {
		job.Accepted, job.Tasks = e.users, e.tasks
		return job, &EnqueueError{
			JobID: r.JobID, Tasks: e.tasks, TotalTasks: e.parts,
			Users: e.users, TotalUsers: len(r.Users), Err: queues.Explain(err),
		}
	}
	if !r.Unlisted && !job.Repeated {
		p.audit(ctx, r)
	}
	return job, nil
}

// audit writes an accepted job, and who asked for it, into the audit log. Without it the job counts all the same.
func (p *Producer) audit(ctx context.Context, r Request) {
	e := audit.Event{
		Action: audit.Job, By: r.Requester, PhoneNumberID: r.PhoneNumberID, Operation: string(r.Operation), JobID: r.JobID,
		Users: len(r.Users), Reason: r.Reason, Reference: r.Reference,
	}
	if r.undoOf != "" {
		e.Detail = "undoes job " + r.undoOf
	}
	p.recordDone(ctx, e)
}

package taskstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/wablock/wablock/tasks"
)

// Undo is as of [tasks.Producer].
func (p *Producer) Undo(_ context.Context, jobID string, q tasks.UndoRequest) (tasks.Undone, error) {
	u, err := p.undo(jobID, q)
	if err != nil {
		return u, fmt.Errorf("tasks: undo: %w", err)
	}
	return u, nil
}

func (p *Producer) undo(jobID string, q tasks.UndoRequest) (tasks.Undone, error) {
	u := tasks.Undone{JobID: jobID, DryRun: q.DryRun}
	p.mu.Lock()
	defer p.mu.Unlock()
	j, err := p.find(jobID)
	switch {
	case err != nil:
		return u, err
	case j.undoOf != "":
		return u, tasks.ErrUndo
	}
	r := tasks.Request{
		Operation: tasks.Unblock, PhoneNumberID: j.r.PhoneNumberID, Queue: j.r.Queue, Version: j.version + 2, JobID: rand.Text(),
		Requester: q.Requester, Reason: q.Reason, Reference: q.Reference,
	}
	if j.r.Operation == tasks.Unblock {
		r.Operation = tasks.Block
	}
	if err := r.Check(); err != nil {
		return u, err
	}
	c, err := p.cancel(j, q.DryRun)
	if err != nil && !errors.Is(err, tasks.ErrJobEnded) && !errors.Is(err, tasks.ErrJobCanceled) {
		return u, err
	}
	for _, one := range j.users {
		if p.last[who{j.r.PhoneNumberID, one.user}] == one && one.state == tasks.UserSucceeded && one.base() != j.r.Operation {
			r.Users = append(r.Users, one.user)
		}
	}
	if r.Users, _, err = p.allowed(r, r.Users, nil); err != nil && !errors.Is(err, tasks.ErrNoUsers) {
		return u, err
	}
	u.Canceled, u.Reversed = c.Canceled, len(r.Users)
	u.Left = max(0, len(j.users)-u.Canceled-u.Reversed)
	if u.Reversed == 0 || q.DryRun {
		return u, nil
	}
	if r, err = r.Complete(p.cfg); err != nil {
		return u, err
	}
	u.UndoJobID = r.JobID
	p.accept(r).undoOf = jobID
	return u, nil
}

// Everywhere is as of [tasks.Producer].
func (p *Producer) Everywhere(ctx context.Context, ids []string, r tasks.Request) (string, []tasks.Job, error) {
	return tasks.Everywhere(ctx, p, ids, r)
}

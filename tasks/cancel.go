package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Canceled is the result of [Producer.Cancel]. Its JSON is that of `wablock cancel --json`.
type Canceled struct {
	JobID string `json:"job_id"`
	// Canceled users were withdrawn before they went out; what each was before has been restored.
	Canceled int `json:"canceled"`
	// InFlight users are in calls, or may have been: they end as they end.
	InFlight int `json:"in_flight"`
	// Settled users had ended.
	Settled int  `json:"settled"`
	DryRun  bool `json:"dry_run,omitempty"`
}

// Undone is the result of [Producer.Undo]. Its JSON is that of `wablock undo --json`.
type Undone struct {
	JobID    string `json:"job_id"`
	Canceled int    `json:"canceled"`
	// Reversed users had been changed by the job, or were in its calls: the opposite is asked for.
	Reversed int `json:"reversed"`
	// Left users keep what they are: asked for again since, failed, protected, or the job changed nothing about them.
	Left int `json:"left"`
	// UndoJobID is the ID of the job that asks for the opposite, "" when there is none.
	UndoJobID string `json:"undo_job_id,omitempty"`
	DryRun    bool   `json:"dry_run,omitempty"`
}

// Cancel withdraws what has not gone out of a job of the producer's phone number ID, a planned one included. With dryRun
// it only counts. The audit log says who canceled it and why, by [WithRequester], [WithReason] and [WithReference]; no other
// option has an effect. The error may wrap ErrJobNotFound, ErrListGone, ErrJobEnded or ErrJobCanceled; a Cancel that failed
// halfway may be repeated.
func (p *Producer) Cancel(ctx context.Context, jobID string, dryRun bool, opts ...Option) (Canceled, error) {
	var q Request
	for _, o := range opts {
		o(&q)
	}
	if err := q.checkText(); err != nil {
		return Canceled{JobID: jobID}, fmt.Errorf("tasks: cancel: %w", err)
	}
	c, _, err := p.cancel(ctx, jobID, dryRun)
	if err != nil {
		return c, fmt.Errorf("tasks: cancel: %w", err)
	}
	if !dryRun {
		p.recordDone(ctx, audit.Event{
			Action: audit.Cancel, By: q.Requester, PhoneNumberID: p.cfg.PhoneNumberID, JobID: jobID, Users: c.Canceled,
			Reason: q.Reason, Reference: q.Reference, Detail: p.cfg.Via,
		})
	}
	return c, nil
}

func (p *Producer) cancel(ctx context.Context, jobID string, dryRun bool) (Canceled, *reporting, error) {
	j, err := p.record(ctx, jobID)
	if err != nil {
		return Canceled{JobID: jobID}, nil, err
	}
	r := &reporting{p: p, l: ledger.New(p.rdb, p.cfg.PhoneNumberID), job: j, now: time.Now()}
	if j.Pending() == 0 {
		err := ErrJobEnded
		if j.Counts.Flagged {
			err = ErrJobCanceled
		}
		return canceled(j), r, err
	}
	if dryRun {
		c, err := wouldCancel(ctx, r)
		return c, r, err
	}
	if _, err := r.l.Cancel(ctx, j.Version); err != nil {
		return canceled(j), r, err
	}
	err = r.parts(ctx, func(part int, users []user.ID) error {
		if err := r.l.Withdraw(ctx, j.Version, part+1, users); err != nil || j.Due == 0 {
			return err
		}
		return r.l.Unplan(ctx, ledger.Planned{Version: j.Version, Operation: j.Operation, Due: time.UnixMilli(j.Due)}, users)
	})
	if err != nil {
		return canceled(j), r, err
	}
	after, err := p.record(ctx, jobID)
	if err != nil {
		return canceled(j), r, err
	}
	r.job = after
	if c := canceled(after); j.Counts.Flagged && c.Canceled == j.Counts.Canceled {
		return c, r, ErrJobCanceled
	}
	return canceled(after), r, nil
}

// canceled returns how a job stands that was canceled: what is pending is in flight.
func canceled(j ledger.JobRecord) Canceled {
	return Canceled{
		JobID: j.ID, Canceled: j.Counts.Canceled, InFlight: j.Pending(),
		Settled: j.Counts.Succeeded + j.Counts.Dead + j.Counts.Superseded,
	}
}

// wouldCancel counts what Cancel would do.
func wouldCancel(ctx context.Context, r *reporting) (Canceled, error) {
	c := Canceled{JobID: r.job.ID, DryRun: true}
	err := r.run(ctx, func(u JobUser) bool {
		switch u.State {
		case UserPlanned, UserPending, UserCanceled:
			c.Canceled++
		case UserInFlight:
			c.InFlight++
		case UserRejected:
		default:
			c.Settled++
		}
		return true
	})
	return c, err
}

// UndoRequest holds who undoes a job and why, and DryRun, which only counts.
type UndoRequest struct {
	Requester, Reason, Reference string
	DryRun                       bool
}

// Undo cancels what has not gone out of a job of the producer's phone number ID, and asks for the opposite for exactly those
// users that the job has changed, or has in a call, and that no later request has named: what is asked for meanwhile wins.
// Users that were as the job wanted them before are left alone. Meta lets a business block only who wrote to it in the last
// 24 hours, so undoing an unblock may fail. It is written into the audit log. The error may wrap ErrJobNotFound, ErrListGone or ErrUndo.
func (p *Producer) Undo(ctx context.Context, jobID string, q UndoRequest) (Undone, error) {
	u, err := p.undo(ctx, jobID, q)
	if err != nil {
		return u, fmt.Errorf("tasks: undo: %w", err)
	}
	if !q.DryRun {
		p.recordDone(ctx, audit.Event{
			Action: audit.Undo, By: q.Requester, PhoneNumberID: p.cfg.PhoneNumberID, JobID: jobID, Users: u.Canceled + u.Reversed,
			Reason: q.Reason, Reference: q.Reference, Detail: p.cfg.Via,
		})
	}
	return u, nil
}

func (p *Producer) undo(ctx context.Context, jobID string, q UndoRequest) (Undone, error) {
	u := Undone{JobID: jobID, DryRun: q.DryRun}
	j, err := p.record(ctx, jobID)
	if err != nil {
		return u, err
	}
	if j.UndoOf != "" {
		return u, ErrUndo
	}
	opposite := ledger.Unblock
	if j.Operation == ledger.Unblock {
		opposite = ledger.Block
	}
	request := Request{
		Operation: opposite, PhoneNumberID: p.cfg.PhoneNumberID, Queue: j.Queue, undoOf: j.ID,
		Requester: q.Requester, Reason: q.Reason, Reference: q.Reference,
		// Directly behind the job, so that whatever was asked for since wins, and behind its end if it has one.
		Version: j.Version + 2,
	}
	if err := request.checkText(); err != nil {
		return u, err
	}
	c, r, err := p.cancel(ctx, jobID, q.DryRun)
	if err != nil && !errors.Is(err, ErrJobEnded) && !errors.Is(err, ErrJobCanceled) {
		return u, err
	}
	u.Canceled = c.Canceled
	err = r.parts(ctx, func(_ int, users []user.ID) error {
		entries, err := r.l.Entries(ctx, users)
		for _, e := range entries {
			if changed(e, j, q.DryRun) {
				request.Users = append(request.Users, e.User)
			}
		}
		return err
	})
	if err != nil {
		return u, err
	}
	// A protected user is not blocked again: that would fail.
	if request.Users, _, err = p.Allowed(ctx, request, request.Users, nil); err != nil && !errors.Is(err, ErrNoUsers) {
		return u, err
	}
	u.Reversed = len(request.Users)
	u.Left = max(0, j.Accepted-u.Canceled-u.Reversed)
	if u.Reversed == 0 || q.DryRun {
		return u, nil
	}
	job, err := p.Enqueue(ctx, request)
	u.UndoJobID = job.ID
	return u, err
}

// changed reports whether a job has changed a user, or may be about to, and no later request has named it.
func changed(e ledger.Entry, j ledger.JobRecord, dryRun bool) bool {
	if e.Version != j.Version || e.Operation != j.Operation || e.Base == j.Operation {
		return false
	}
	switch e.State {
	case ledger.Succeeded, ledger.InFlight:
		return true
	case ledger.Waiting: // Cancel left it there: a call may have been carried out
		return !dryRun
	default:
		return false
	}
}

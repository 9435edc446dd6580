package taskstest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/user"
)

// Heard is as of [tasks.Producer]: users whose blocks the test has let fail with [tasks.CodeWindow] are asked for again.
func (p *Producer) Heard(ctx context.Context, events ...tasks.HeardEvent) (tasks.HeardReport, error) {
	var report tasks.HeardReport
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmp.Or(ctx.Err(), p.fault); err != nil {
		return report, fmt.Errorf("tasks: heard: %w", err)
	}
	for i, e := range events {
		id := cmp.Or(e.PhoneNumberID, p.cfg.PhoneNumberID)
		names, err := e.Names(id)
		reason := ""
		switch {
		case err != nil:
			reason = err.Error()
		case time.Until(e.At) > heard.Ahead:
			reason = tasks.ReasonTooFar
		}
		if reason != "" {
			report.Rejected = append(report.Rejected, tasks.Rejection{Input: cmp.Or(e.User, e.WaID, e.UserID), Line: i + 1, Reason: reason})
			continue
		}
		report.Accepted++
		if time.Since(e.At) >= heard.Window {
			report.TooOld++
			continue
		}
		for _, u := range names {
			if p.revive(id, u, e.At) {
				report.Revived++
			}
		}
	}
	return report, nil
}

// revive asks again for a user who had not written when a block was refused, and reports whether there is one. It
// requires mu held.
func (p *Producer) revive(phoneNumberID string, u user.ID, wrote time.Time) bool {
	one := p.last[who{phoneNumberID, u}]
	if one == nil || one.state != tasks.UserDeadLettered || one.code != tasks.CodeWindow {
		return false
	}
	first, now := one.job.r, time.Now()
	if !(heard.Refusal{At: one.ended, Ends: first.Until}).Revivable(wrote, now) {
		return false
	}
	r := tasks.Request{
		Operation: first.Operation, PhoneNumberID: phoneNumberID, Users: []user.ID{u}, Queue: tasks.Interactive, JobID: rand.Text(),
		Version: one.job.version + 1, Requester: heard.Requester, Reason: cmp.Or(first.Reason, heard.Reason),
		Reference: first.Reference, Until: first.Until, Standing: first.Standing,
	}
	r, err := r.Complete(p.cfg)
	if err != nil || r.CheckEnd(now) != nil {
		return false // its block has ended meanwhile
	}
	p.accept(r)
	return true
}

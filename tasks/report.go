package tasks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// UserState is the state of one user of a job.
type UserState string

// The states of a job's users. A user is Superseded by a newer request, which the ledger holds alone: it may
// have come before this one went out, or after it succeeded.
const (
	UserPlanned      UserState = "planned"
	UserPending      UserState = "pending"
	UserInFlight     UserState = "in_flight"
	UserSucceeded    UserState = "succeeded"
	UserDeadLettered UserState = "dead_lettered"
	UserSuperseded   UserState = "superseded"
	UserCanceled     UserState = "canceled"
	UserRejected     UserState = "rejected"
)

// JobUser is one user of a job, or one input that named none.
type JobUser struct {
	// Input holds the user as it was given, or the rejected input.
	Input string
	User  user.ID // zero for a rejected input
	State UserState
	Line  int // of a rejected input
	// Code is the API's code of one that is dead-lettered, 0 for none.
	Code int
	// Reason holds why an input was rejected, or the API's answer about a user.
	Reason    string
	SettledAt time.Time
}

// ErrListGone is wrapped when the users of a job are no longer known: its counts are.
var ErrListGone = errors.New("the list of the job's users is no longer kept")

// JobUsers yields each user that a job accepted, in an order of its own, and then the inputs that were rejected,
// up to 10,000 of these. An error, which may wrap ErrJobNotFound or ErrListGone, is the last thing that comes.
func (p *Producer) JobUsers(ctx context.Context, jobID string) iter.Seq2[JobUser, error] {
	return func(yield func(JobUser, error) bool) {
		j, err := p.record(ctx, jobID)
		if err != nil {
			yield(JobUser{}, fmt.Errorf("tasks: users of a job: %w", err))
			return
		}
		r := reporting{p: p, l: ledger.New(p.rdb, p.cfg.PhoneNumberID), job: j, now: time.Now()}
		if err := r.run(ctx, func(u JobUser) bool { return yield(u, nil) }); err != nil && !errors.Is(err, errStop) {
			yield(JobUser{}, fmt.Errorf("tasks: users of a job: %w", err))
		}
	}
}

var errStop = errors.New("no more is wanted")

// reporting reads the users of one job.
type reporting struct {
	p   *Producer
	l   *ledger.Ledger
	job ledger.JobRecord
	now time.Time
}

func (r *reporting) run(ctx context.Context, yield func(JobUser) bool) error {
	var rejected []Rejection
	for part := range r.job.Parts {
		lines, err := r.list(ctx, part)
		if err != nil {
			return err
		}
		users := make([]user.ID, 0, len(lines))
		given := make([]string, 0, len(lines))
		for _, line := range lines {
			if line.user.IsZero() {
				rejected = append(rejected, line.rejected)
				continue
			}
			users, given = append(users, line.user), append(given, line.given)
		}
		entries, err := r.l.Entries(ctx, users)
		if err != nil {
			return err
		}
		for i, e := range entries {
			if !yield(r.user(given[i], e)) {
				return errStop
			}
		}
	}
	for _, x := range rejected {
		if !yield(JobUser{Input: x.Input, State: UserRejected, Line: x.Line, Reason: x.Reason}) {
			return errStop
		}
	}
	return nil
}

// parts calls do with the users of each part of the job, from 0.
func (r *reporting) parts(ctx context.Context, do func(part int, users []user.ID) error) error {
	for part := range r.job.Parts {
		lines, err := r.list(ctx, part)
		if err != nil {
			return err
		}
		users := make([]user.ID, 0, len(lines))
		for _, line := range lines {
			if !line.user.IsZero() {
				users = append(users, line.user)
			}
		}
		if len(users) == 0 {
			continue
		}
		if err := do(part, users); err != nil {
			return err
		}
	}
	return nil
}

// list returns the lines of a part, from 0: as they are kept, or from the part's task.
func (r *reporting) list(ctx context.Context, part int) ([]listed, error) {
	b, err := r.l.List(ctx, r.job.Version, part+1)
	if err != nil {
		return nil, err
	}
	if b != nil {
		return decodeList(b)
	}
	found, err := lookup(r.p, r.job.Queue, queues.TaskID(r.job.ID, part))
	if err != nil {
		return nil, err
	}
	if found == nil || found.Version != r.job.Version {
		return nil, ErrListGone
	}
	lines := make([]listed, len(found.Users))
	for i, u := range found.Users {
		lines[i] = listed{user: u, given: u.Reveal()}
	}
	return lines, nil
}

// user returns the outcome of one user.
func (r *reporting) user(given string, e ledger.Entry) JobUser {
	u := JobUser{Input: given, User: e.User}
	switch {
	case e.Version > r.job.Version:
		u.State = UserSuperseded
	case e.Version < r.job.Version && r.job.Counts.Flagged:
		u.State = UserCanceled
	case e.Version < r.job.Version && r.job.Pending() == 0: // its record was forgotten: unblocked long ago
		u.State = UserSucceeded
	case e.Version < r.job.Version && milli(r.job.Due).After(r.now):
		u.State = UserPlanned
	case e.Version < r.job.Version, e.State == ledger.Waiting:
		u.State = UserPending
	case e.State == ledger.InFlight:
		u.State = UserInFlight
	case e.State == ledger.Succeeded:
		u.State, u.SettledAt = UserSucceeded, e.SettledAt.UTC()
	case e.State == ledger.Dead, e.State == ledger.Discarded:
		u.State, u.SettledAt = UserDeadLettered, e.SettledAt.UTC()
		if f := e.Failure; f != nil {
			u.Code, u.Reason = f.Code, f.Message
			if f.Details != "" {
				u.Reason += ": " + f.Details
			}
		}
	}
	return u
}

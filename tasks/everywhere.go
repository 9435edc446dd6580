package tasks

import (
	"context"
	"fmt"
	"slices"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Acceptor takes requests in, as a [Producer] does.
type Acceptor interface {
	Allowed(ctx context.Context, r Request, users []user.ID, rejected []Rejection) ([]user.ID, []Rejection, error)
	Enqueue(ctx context.Context, r Request) (Job, error)
}

// Everywhere asks for users to be blocked on several phone number IDs: a standing request and a job of its own on each, of
// the users that are not protected there. It returns the ID that the jobs' IDs begin with, which is r's JobID or a random
// one, and the jobs in the order of ids; see [EverywhereJobID]. A phone number ID on which all users are protected has a
// job that accepts none, without an ID. The request may be repeated with the ID that is returned, also behind an error
// that came when some of the jobs were accepted; the last of the jobs is then the one that failed.
func (p *Producer) Everywhere(ctx context.Context, ids []string, r Request) (string, []Job, error) {
	return Everywhere(ctx, p, ids, r)
}

// Everywhere is [Producer.Everywhere] by way of p.
func Everywhere(ctx context.Context, p Acceptor, ids []string, r Request) (string, []Job, error) {
	r.Operation, r.Standing = ledger.Block, true
	base := r.JobID
	if base == "" {
		base = newJobID()
	}
	if len(ids) == 0 {
		return base, nil, fmt.Errorf("tasks: everywhere: %w: no phone number ID is configured", ErrNoUsers)
	}
	for _, id := range ids {
		if err := queues.CheckPhoneNumberID(id); err != nil {
			return base, nil, fmt.Errorf("tasks: everywhere: %w", err)
		}
		if err := CheckJobID(EverywhereJobID(base, id), r.Users...); err != nil {
			return base, nil, fmt.Errorf("tasks: everywhere: %w", err)
		}
	}
	if err := r.Check(); err != nil {
		return base, nil, fmt.Errorf("tasks: everywhere: %w", err)
	}
	jobs, accepted := make([]Job, 0, len(ids)), 0
	for _, id := range ids {
		one := r
		one.PhoneNumberID, one.JobID = id, EverywhereJobID(base, id)
		users, protected, err := p.Allowed(ctx, one, r.Users, nil)
		if len(users) == 0 && len(protected) > 0 { // all of them
			jobs = append(jobs, Job{Operation: r.Operation, PhoneNumberID: id, Rejected: protected})
			continue
		}
		if err != nil {
			users, protected = r.Users, nil // Redis is away, which Enqueue says; a lane looks again
		}
		one.Users, one.Rejected = users, slices.Concat(r.Rejected, protected)
		job, err := p.Enqueue(ctx, one)
		job.Rejected = protected
		jobs = append(jobs, job)
		if err != nil {
			return base, jobs, err
		}
		accepted += job.Accepted
	}
	if accepted == 0 {
		return base, jobs, fmt.Errorf("tasks: everywhere: %w: all are protected on each phone number ID", ErrNoUsers)
	}
	return base, jobs, nil
}

// EverywhereJobID returns the ID of the job on one phone number ID that [Producer.Everywhere] makes.
func EverywhereJobID(base, phoneNumberID string) string { return base + "@" + phoneNumberID }

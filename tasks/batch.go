package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// batchTerms holds what the requests of one batch share: all that a [Request] has but its users.
type batchTerms struct {
	Operation                    ledger.Operation
	PhoneNumberID                string
	Queue                        ledger.Queue
	Delay                        time.Duration
	Version                      ledger.Version
	JobID                        string
	Retention                    time.Duration
	Requester, Reason, Reference string
	AsOf, Until                  int64 // in ns; 0 for none
	Standing, Unparked, Unlisted bool
	undoOf                       string
}

func termsOf(r *Request) batchTerms {
	return batchTerms{
		Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, Queue: r.Queue, Delay: r.Delay, Version: r.Version,
		JobID: r.JobID, Retention: r.Retention, Requester: r.Requester, Reason: r.Reason, Reference: r.Reference,
		AsOf: nanoseconds(r.AsOf), Until: nanoseconds(r.Until), Standing: r.Standing, Unparked: r.Unparked, Unlisted: r.Unlisted, undoOf: r.undoOf,
	}
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// batch is one job that a [Batcher] gathers. What is not said to be its result is guarded by the batcher's mutex.
type batch struct {
	terms   batchTerms
	request Request
	users   map[user.ID]struct{} // of the request
	count   int                  // requests: of a user there may be several
	timer   *time.Timer
	ready   bool     // it waits for a sender, or has one
	before  int      // batches that have to end before it is sent
	then    []*batch // those that wait for this one

	// The result, of which nothing changes once done is closed.
	done     chan struct{}
	job      Job
	rejected map[string]Rejection // by canonical form
	err      error
}

func newBatch(r Request) *batch {
	b := &batch{terms: termsOf(&r), request: r, users: map[user.ID]struct{}{}, done: make(chan struct{})}
	b.request.Users, b.request.Given, b.request.Rejected = nil, map[user.ID]string{}, nil
	return b
}

// add takes one more request of equal terms.
func (b *batch) add(r Request) {
	b.count++
	for _, u := range r.Users {
		if _, again := b.users[u]; !again {
			b.users[u] = struct{}{}
			b.request.Users = append(b.request.Users, u)
		}
		if given, other := r.Given[u]; other {
			b.request.Given[u] = given
		} else {
			delete(b.request.Given, u)
		}
	}
}

// send enqueues the batch, and keeps what came of it.
func (b *batch) send(ctx context.Context, p BatchProducer) {
	r := b.request
	r.Users, r.Rejected, b.err = p.Allowed(ctx, r, r.Users, nil)
	b.rejected = make(map[string]Rejection, len(r.Rejected))
	for _, rejection := range r.Rejected {
		b.rejected[rejection.Input] = rejection
	}
	if b.err == nil {
		b.job, b.err = p.Enqueue(ctx, r)
	}
	if b.err == nil || errors.Is(b.err, ErrNoUsers) {
		return
	}
	// Several callers share the job's ID: the advice to repeat the request with it holds for those who chose it.
	if failed, ok := errors.AsType[*EnqueueError](b.err); ok && b.terms.JobID == "" {
		b.err = fmt.Errorf("it is not known to be accepted; to ask again is safe, as a new request: %w", failed.Err)
		b.job.ID = ""
	}
}

// of returns what the batch has come to for one user. It is done.
func (b *batch) of(u user.ID) (Job, error) {
	job := b.job
	job.Operation, job.PhoneNumberID, job.Queue, job.Users, job.Accepted = b.terms.Operation, b.terms.PhoneNumberID, b.terms.Queue, nil, 0
	if rejection, is := b.rejected[u.Reveal()]; is {
		return Job{Operation: job.Operation, Rejected: []Rejection{rejection}}, fmt.Errorf("tasks: batch: %w: %s", ErrNoUsers, rejection.Reason)
	}
	if b.err != nil {
		return job, fmt.Errorf("tasks: batch: %w", b.err)
	}
	job.Users, job.Accepted = []user.ID{u}, 1
	return job, nil
}

package tasks

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Request is one job to enqueue. Operation and Users are required.
type Request struct {
	Operation ledger.Operation
	// Users may name a user twice; that counts once.
	Users []user.ID
	// PhoneNumberID chooses the blocklist; default the producer's.
	PhoneNumberID string
	// Queue defaults to Interactive for up to InteractiveUpTo users, else Bulk. Reconcile is for
	// reconciliations, which withdraw unblocks that they find waiting there.
	Queue ledger.Queue
	// Delay puts the job off. It counts as asked for when it was accepted all the same: what is asked
	// for until it is due wins.
	Delay time.Duration
	// Version orders the job in place of a new version, for work that was decided on by what was
	// known earlier: whatever was asked for since wins. Where another job has it, the next free one
	// is taken. It goes with no Delay. 0 takes a new one.
	Version ledger.Version
	// JobID makes the request safe to repeat: the same ID, operation, users and queue again
	// are the same job, of the version and due time that it had first, until the retention after
	// its last part's end has passed. Default a random one.
	JobID string
	// Retention is the time that the tasks and their results stay readable after their end, at
	// least a second; default the producer's.
	Retention time.Duration
	// Requester, Reason and Reference say who asked and why, for `status` and the job's record; see
	// [ledger.Text] for their bounds. None is needed.
	Requester, Reason, Reference string
	// AsOf orders the request by the time of the event behind it in place of now, for replays: what was
	// asked for since wins. It lies in the last [MaxAsOf]. It goes with no Version.
	AsOf time.Time
	// Until is the time at which a block ends by itself: the users are unblocked then, unless a newer request
	// was accepted for them. Zero for never. In whole milliseconds.
	Until time.Time
	// Given holds users as they were written, for the job's report, where that differs from the canonical
	// form. Rejected are the inputs beside Users that name none, for the report too.
	Given    map[user.ID]string
	Rejected []Rejection
	// Standing wants a block until a newer request comes: where the API allows none yet, since the user has not
	// written, it waits for that, and `status` says so. See [Producer.Everywhere].
	Standing bool
	// Unparked wants a call for a block also by workers that make none where it is known that the user has not written.
	Unparked bool
	// Unlisted makes no job of the request: it repeats, at its Version, what another job asked for.
	Unlisted bool

	undoOf string // the ID of the job that this one undoes
}

// NewRequest returns the request to block or unblock users as people write them: phone numbers or BSUIDs. Inputs that
// name no user are in its Rejected; without any that does, the error wraps ErrNoUsers.
func NewRequest(op ledger.Operation, inputs []string, opts ...Option) (Request, error) {
	r := Request{Operation: op}
	for _, o := range opts {
		o(&r)
	}
	list := numbers.Parse(inputs, user.Country{})
	r.Users, r.Given, r.Rejected = list.Users, list.Given, list.Rejected
	if len(r.Users) == 0 {
		return r, fmt.Errorf("%w: none of %d inputs is a phone number or BSUID", ErrNoUsers, len(inputs))
	}
	return r, nil
}

// Option changes what [Producer.Block] and [Producer.Unblock] ask for; see [Request].
type Option func(*Request)

// WithPhoneNumberID chooses the blocklist.
func WithPhoneNumberID(id string) Option { return func(r *Request) { r.PhoneNumberID = id } }

// WithQueue names the queue: Interactive, or Bulk for what need not be done at once.
func WithQueue(q ledger.Queue) Option { return func(r *Request) { r.Queue = q } }

// WithDelay puts the job off.
func WithDelay(d time.Duration) Option { return func(r *Request) { r.Delay = d } }

// WithJobID names the job, so that it is safe to repeat: by the ID of the event that it is for,
// for example. See [CheckJobID] for what it may be.
func WithJobID(id string) Option { return func(r *Request) { r.JobID = id } }

// WithRetention sets the time that results stay readable, and the job safe to repeat.
func WithRetention(d time.Duration) Option { return func(r *Request) { r.Retention = d } }

// WithRequester names the person or service that asks.
func WithRequester(name string) Option { return func(r *Request) { r.Requester = name } }

// WithReason says why, in at most 500 characters.
func WithReason(text string) Option { return func(r *Request) { r.Reason = text } }

// WithReference names a ticket or a case.
func WithReference(text string) Option { return func(r *Request) { r.Reference = text } }

// WithAsOf orders the request by the time of the event behind it; see [Request].AsOf.
func WithAsOf(t time.Time) Option { return func(r *Request) { r.AsOf = t } }

// WithExpiry ends the block at t; see [Request].Until.
func WithExpiry(t time.Time) Option { return func(r *Request) { r.Until = t } }

// Bounds of a request, which keep it inside what asynq and the ledger can count.
const (
	MaxDelay     = 10 * 365 * 24 * time.Hour
	MaxRetention = 365 * 24 * time.Hour
	// MaxAsOf bounds how far back AsOf lies: what older requests are ordered by may be forgotten.
	MaxAsOf = ledger.ForgetAfter - 24*time.Hour
	// maxAhead is the difference of clocks that AsOf may show.
	maxAhead = 5 * time.Second
)

func checkRetention(d time.Duration) error {
	if d < time.Second || d > MaxRetention {
		return fmt.Errorf("a retention of %v: it is from 1s to %v", d, MaxRetention)
	}
	return nil
}

func distinct(users []user.ID) ([]user.ID, error) {
	if len(users) == 0 {
		return nil, ErrNoUsers
	}
	seen := make(map[user.ID]struct{}, len(users))
	out := make([]user.ID, 0, len(users))
	for _, u := range users {
		if u.IsZero() {
			return nil, fmt.Errorf("%w: one of them has no name", ErrNoUsers)
		}
		if _, again := seen[u]; !again {
			seen[u] = struct{}{}
			out = append(out, u)
		}
	}
	return out, nil
}

// Complete returns r as a producer of cfg takes it, its defaults filled in and each user once, or what is wrong with
// it. Of cfg it reads the phone number ID and the retention.
func (r Request) Complete(cfg ProducerConfig) (Request, error) {
	if !r.Operation.Valid() {
		return r, fmt.Errorf("an operation that is neither %q nor %q", ledger.Block, ledger.Unblock)
	}
	if r.PhoneNumberID == "" {
		r.PhoneNumberID = cfg.PhoneNumberID
	}
	if err := queues.CheckPhoneNumberID(r.PhoneNumberID); err != nil {
		return r, err
	}
	var err error
	if r.Users, err = distinct(r.Users); err != nil {
		return r, err
	}
	if r.Queue == "" {
		r.Queue = ledger.Interactive
		if len(r.Users) > InteractiveUpTo {
			r.Queue = ledger.Bulk
		}
	}
	if !r.Queue.Valid() {
		return r, fmt.Errorf("no such queue: it is one of %v", ledger.Queues())
	}
	if r.Delay < 0 || r.Delay > MaxDelay {
		return r, fmt.Errorf("a delay of %v: it is from 0 to %v", r.Delay, MaxDelay)
	}
	if err := r.checkOrder(time.Now()); err != nil {
		return r, err
	}
	if err := r.checkUntil(time.Now()); err != nil {
		return r, err
	}
	if err := r.checkText(); err != nil {
		return r, err
	}
	if r.Retention == 0 {
		r.Retention = cfg.Retention
	}
	if err := checkRetention(r.Retention); err != nil {
		return r, err
	}
	if r.JobID == "" {
		return r, nil
	}
	r.Users = sorted(r.Users)
	return r, CheckJobID(r.JobID, r.Users...)
}

// checkOrder checks what a request is ordered by.
func (r *Request) checkOrder(now time.Time) error {
	switch {
	case r.Version < 0 || r.Version > 0 && r.Delay > 0:
		return errors.New("a version that is negative, or goes with a delay")
	case r.Unlisted && r.Version == 0:
		return errors.New("an unlisted request repeats another at its version, and has none")
	case r.AsOf.IsZero():
		return nil
	case r.Version > 0:
		return errors.New("a version and a time of the event: leave one out")
	case r.AsOf.After(now.Add(maxAhead)):
		return fmt.Errorf("a time of the event in the future: it is at most now, and was %s", r.AsOf.UTC().Format(time.RFC3339))
	case r.AsOf.Before(now.Add(-MaxAsOf)):
		return fmt.Errorf("a time of the event of more than %d days ago: what was asked for since may be forgotten", MaxAsOf/(24*time.Hour))
	}
	return nil
}

// WithStanding wants the block until a newer request comes; see [Request].Standing.
func WithStanding() Option { return func(r *Request) { r.Standing = true } }

// Check reports what is wrong with who asked, why, and when, before anything of the request is done.
func (r *Request) Check() error {
	if err := r.checkOrder(time.Now()); err != nil {
		return err
	}
	if err := r.checkUntil(time.Now()); err != nil {
		return err
	}
	if r.Standing && r.Operation != ledger.Block {
		return errors.New("a standing request is a block: an unblock does not wait until a user writes")
	}
	return r.checkText()
}

// checkUntil checks the end of a timed block.
func (r *Request) checkUntil(now time.Time) error {
	switch {
	case r.Until.IsZero():
		return nil
	case r.Operation != ledger.Block:
		return errors.New("an end goes with a block alone: to block again later, ask for a block with a delay")
	case r.Unlisted:
		return errors.New("an unlisted request has no end")
	case r.Until.After(now.Add(r.Delay + MaxDelay)):
		return fmt.Errorf("a block that ends in more than %d days", MaxDelay/(24*time.Hour))
	case r.JobID != "":
		return nil
	}
	return r.CheckEnd(now)
}

// CheckEnd returns an error that wraps ErrPastEnd for a block that would end before it begins. Of a request with a job ID
// Complete and Check leave that open: it may repeat one that was accepted in time.
func (r *Request) CheckEnd(now time.Time) error {
	if r.Until.IsZero() || r.Until.After(now.Add(r.Delay)) {
		return nil
	}
	return fmt.Errorf("a block that ends at %s, before it begins: %w", r.Until.UTC().Format(time.RFC3339), ErrPastEnd)
}

// text returns who asks and why.
func (r *Request) text() ledger.Text {
	return ledger.Text{By: r.Requester, Reason: r.Reason, Reference: r.Reference, Standing: r.Standing, Unparked: r.Unparked}
}

// checkText checks who asks and why; the texts are shown in logs, so they hold the number of no user.
func (r *Request) checkText() error {
	if err := r.text().Check(); err != nil {
		return err
	}
	for what, s := range map[string]string{"the requester": r.Requester, "the reason": r.Reason, "the reference": r.Reference} {
		if queues.NamesUser(s, r.Users) {
			return fmt.Errorf("%s holds the number of one of the users: it is shown in logs and on web pages", what)
		}
	}
	return nil
}

// sorted returns the users of a request in an order of their own, so that the same users in
// another order are the same job.
func sorted(users []user.ID) []user.ID { return slices.SortedFunc(slices.Values(users), user.Compare) }

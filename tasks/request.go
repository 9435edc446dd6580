package tasks

import (
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
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
	// Delay puts the job off. It then counts as asked for at the time when it becomes due: a
	// block from today does not undo an unblock that is due in a week.
	Delay time.Duration
	// Version orders the job in place of a new version, for work that was decided on by what was
	// known earlier: whatever was asked for since wins. It goes with no Delay. 0 takes a new one.
	Version ledger.Version
	// JobID makes the request safe to repeat: the same ID, operation, users and queue again
	// are the same job, of the version and due time that it had first, until the retention after
	// its last part's end has passed. Default a random one.
	JobID string
	// Retention is the time that the tasks and their results stay readable after their end, at
	// least a second; default the producer's.
	Retention time.Duration
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

// Bounds of a request, which keep it inside what asynq and the ledger can count.
const (
	MaxDelay     = 10 * 365 * 24 * time.Hour
	MaxRetention = 365 * 24 * time.Hour
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

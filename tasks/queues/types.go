package queues

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/ledger"
)

// DeadLetter is the asynq queue of what failed for good. The queues of work are named by
// [ledger.Queue].
const DeadLetter = "dead-letter"

// The types of asynq tasks.
const (
	TypeBlock      = "block_users:block"
	TypeUnblock    = "block_users:unblock"
	TypeReconcile  = "block_users:reconcile"
	TypeDeadLetter = "block_users:dead_letter"
)

// MaxUsersPerTask bounds the users of one task, as many as one API call carries.
const MaxUsersPerTask = 1000

// MaxRetry is given to every asynq task, and is never reached: asynq would archive the task
// then, and its archive drops the oldest in silence. The ledger's attempts decide instead.
const MaxRetry = math.MaxInt32

// TaskTimeout bounds the time that asynq lets a handler hold one task. It is a net under a handler
// that is stuck; handlers hand a task that must wait for long back by themselves.
const TaskTimeout = 30 * time.Minute

// ErrMalformed is wrapped by every error over a task that this program can't read. The text
// around it says why, and never holds anything of the payload.
var ErrMalformed = errors.New("malformed task")

const maxPhoneNumberID = 32

// CheckPhoneNumberID reports what is wrong with a phone number ID, which is 1 to 32 digits.
// Everything else would find its way into Redis keys and URLs.
func CheckPhoneNumberID(id string) error {
	if id == "" {
		return errors.New("no phone number ID: name the business number's Graph ID, a row of digits")
	}
	if len(id) > maxPhoneNumberID {
		return fmt.Errorf("a phone number ID of %d characters: it has 1 to %d digits", len(id), maxPhoneNumberID)
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return errors.New("a phone number ID is digits alone: the business number's Graph ID, not the number itself")
		}
	}
	return nil
}

// TypeOf returns the task type that carries op, which must be valid.
func TypeOf(op ledger.Operation) string {
	if op == ledger.Block {
		return TypeBlock
	}
	return TypeUnblock
}

// Options returns what every task of wablock has.
func Options(id string) []asynq.Option {
	return []asynq.Option{asynq.TaskID(id), asynq.MaxRetry(MaxRetry), asynq.Timeout(TaskTimeout)}
}

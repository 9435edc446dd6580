package queues

import (
	"errors"
	"strings"

	"github.com/hibiken/asynq"
)

// Key returns asynq's Redis key of a queue: a sorted set or list of task IDs for a state such
// as "scheduled", the task itself for "t:" and its ID. The keys are read directly because
// asynq's own listing pages by position, and misses tasks whenever others go.
func Key(queue, state string) string { return "asynq:{" + queue + "}:" + state }

// IsGone reports whether err of an [asynq.Inspector] means that the task does not exist.
func IsGone(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}

// ErrRedisFull is wrapped when Redis refuses writes because it is at its maxmemory.
var ErrRedisFull = errors.New("Redis is full (at its maxmemory): give it more memory or free some, then repeat") //nolint:staticcheck // a name

// Explain turns Redis's refusal for want of memory into ErrRedisFull. asynq passes Redis's
// errors on as text, so the text is all there is to go by; ErrRedisFull carries nothing else.
func Explain(err error) error {
	if err != nil && strings.Contains(err.Error(), "OOM command not allowed") {
		return ErrRedisFull
	}
	return err
}

// HasMoved reports whether err of an [asynq.Inspector] means that the task was in another state
// than the action needs, as one that a handler has just taken. asynq gives such errors no kind.
func HasMoved(err error) bool {
	return err != nil && strings.Contains(err.Error(), "FAILED_PRECONDITION")
}

package tasks

import (
	"errors"
	"fmt"

	"github.com/wablock/wablock/tasks/queues"
)

// ErrRedisFull is wrapped when Redis refuses writes because it is at its maxmemory.
var ErrRedisFull = queues.ErrRedisFull

// ErrJobConflict is wrapped when a job ID is in use by another request: one of another
// operation, phone number ID, queue or users. Nothing was enqueued then.
var ErrJobConflict = errors.New("the job ID belongs to another request: choose another")

// ErrPastEnd is wrapped when a block would end before it begins. Nothing was enqueued then.
var ErrPastEnd = errors.New("its end must lie in the future")

// EnqueueError counts the tasks of a job that were accepted before it failed. To repeat the request
// with JobID is safe, and completes it.
type EnqueueError struct {
	JobID string
	// Tasks of TotalTasks tasks are known to be in Redis; the one that failed may be as well.
	Tasks, TotalTasks int
	// Users are in those tasks, of TotalUsers.
	Users, TotalUsers int
	Err               error
}

func (e *EnqueueError) Error() string {
	switch {
	case errors.Is(e.Err, ErrJobConflict), errors.Is(e.Err, ErrJobCanceled):
		return fmt.Sprintf("tasks: enqueue job %s: %v", e.JobID, e.Err)
	case e.Tasks == 0:
		return fmt.Sprintf("tasks: enqueue job %s: it is not known to be accepted; repeating it with the same job ID is safe: %v", e.JobID, e.Err)
	}
	return fmt.Sprintf("tasks: enqueue job %s: %d of %d tasks (%d of %d users) were accepted; "+
		"repeating it with the same job ID is safe, and completes it: %v", e.JobID, e.Tasks, e.TotalTasks, e.Users, e.TotalUsers, e.Err)
}

// Unwrap returns what went wrong.
func (e *EnqueueError) Unwrap() error { return e.Err }

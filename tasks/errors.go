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

// ErrJobNotFound is wrapped when no task of a job is in Redis: there never was one, or it ended
// and its retention has passed. The ledger knows of the users all the same.
var ErrJobNotFound = errors.New("no such job, or its results are past their retention")

// ErrJobLost is wrapped, with ErrJobNotFound, when tasks of a job are in Redis, and what is kept of the job is not: one
// master of a cluster has lost it in a failover, or it was dropped beyond the jobs that are kept.
var ErrJobLost = fmt.Errorf("%w: its record is lost, but its tasks are there, and its users are carried out", ErrJobNotFound)

// The reasons not to cancel or undo a job, wrapped by the errors of [Producer.Cancel] and [Producer.Undo].
var (
	// ErrJobEnded: every user of the job has ended, so there is nothing to withdraw.
	ErrJobEnded = errors.New("the job is done: nothing of it is left to cancel")
	// ErrJobCanceled: it was canceled before, and nothing of it waits.
	ErrJobCanceled = errors.New("the job was canceled before")
	// ErrUndo: it undoes another job.
	ErrUndo = errors.New("the job undoes another one, and is not undone itself: ask for what the first job asked for, in a new one")
)

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

package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// ErrJobNotFound is wrapped when no task of a job is in Redis: there never was one, or it ended
// and its retention has passed. The ledger knows of the users all the same.
var ErrJobNotFound = errors.New("no such job, or its results are past their retention")

// ErrJobLost is wrapped, with ErrJobNotFound, when tasks of a job are in Redis, and what is kept of the job is not: one
// master of a cluster has lost it in a failover, or it was dropped beyond the jobs that are kept.
var ErrJobLost = fmt.Errorf("%w: its record is lost, but its tasks are there, and its users are carried out", ErrJobNotFound)

// Job is a request that was accepted.
type Job struct {
	ID            string
	Operation     Operation
	PhoneNumberID string
	Queue         Queue
	// Version orders the job in the ledger.
	Version ledger.Version
	// Users are those accepted, each once, in the order given.
	Users []user.ID
	// Accepted is the number of Users.
	Accepted int
	// Rejected are the inputs that name no user; they are in no task.
	Rejected []Rejection
	// Tasks counts the asynq tasks that the job was cut into.
	Tasks int
	// Repeated says that a request with this job ID was accepted before, and this one is the same job.
	Repeated bool
}

// TaskStatus sums up the tasks of a job.
type TaskStatus struct {
	ID            string
	Operation     Operation
	PhoneNumberID string
	Queue         Queue
	Version       ledger.Version
	RequestedAt   time.Time
	// Tasks counts the parts of the job. Ended have a result; Gone are past their
	// retention, or were deleted, or never got into Redis.
	Tasks, Ended, Gone int
	// Pending counts the users of the tasks that have not ended. Those that have are in Result,
	// users of tasks that are gone in neither.
	Pending int
	Result  Result
}

// Result counts how the users of a task, or of several, ended.
type Result = queues.Result

// Done reports whether every task has ended.
func (s TaskStatus) Done() bool { return s.Ended+s.Gone == s.Tasks }

// readTasks reads the tasks of a job.
func readTasks(ctx context.Context, p *Producer, jobID string) (TaskStatus, error) {
	if err := CheckJobID(jobID); err != nil {
		return TaskStatus{}, err
	}
	q, parts, err := locate(ctx, p, jobID)
	if err != nil {
		return TaskStatus{}, err
	}
	infos := make([]*asynq.TaskInfo, parts)
	err = parallel.Each(ctx, parallel.Commands, parallel.UpTo(0, parts), func(_ context.Context, n int) (err error) {
		infos[n], err = p.inspector.GetTaskInfo(string(q), queues.TaskID(jobID, n))
		if queues.IsGone(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return TaskStatus{}, err
	}
	s := TaskStatus{ID: jobID, Queue: q, Tasks: parts}
	for _, info := range infos {
		if err := s.add(info); err != nil {
			return TaskStatus{}, err
		}
	}
	if s.Gone == s.Tasks {
		return TaskStatus{}, ErrJobNotFound
	}
	return s, nil
}

// locate finds the queue of a job and how many parts it has: by its key, or by part 0.
func locate(ctx context.Context, p *Producer, jobID string) (ledger.Queue, int, error) {
	first, q, err := findPart(ctx, p, jobID, 1)
	if err != nil {
		return "", 0, err
	}
	if first != nil {
		return q, first.Parts, nil
	}
	b, err := readBegun(ctx, p.rdb, jobID)
	if err != nil {
		return "", 0, err
	}
	if b == nil {
		return "", 0, ErrJobNotFound
	}
	return b.Queue, b.Parts, nil
}

func (s *TaskStatus) add(info *asynq.TaskInfo) error {
	if info == nil {
		s.Gone++
		return nil
	}
	payload, err := queues.Decode(info.Type, info.Payload)
	if err != nil {
		return err
	}
	s.Operation, s.PhoneNumberID, s.Version, s.RequestedAt = payload.Operation, payload.PhoneNumberID, payload.Version, payload.RequestedAt
	if info.State != asynq.TaskStateCompleted {
		s.Pending += len(payload.Users)
		return nil
	}
	s.Ended++
	if len(info.Result) == 0 {
		return nil
	}
	r, err := queues.DecodeResult(info.Result)
	if err == nil {
		s.Result.Add(r)
	}
	return err
}

// Progress counts what has become of a job's users.
type Progress struct {
	Succeeded int
	// DeadLettered failed for good, discarded since or not.
	DeadLettered int
	// Superseded were asked for again in a newer request, which alone counts.
	Superseded int
	// Canceled were withdrawn with their job before they went out.
	Canceled int
	// Pending have not ended yet.
	Pending int
	// Window counts those of DeadLettered that failed with CodeWindow: where the block is a standing one, they wait
	// until the user writes.
	Window int
}

// CodeWindow is the API's code for a user who has not written in the last 24 hours, and so can't be blocked yet.
const CodeWindow = 131047

func readProgress(ctx context.Context, l *ledger.Ledger, v ledger.Version, users []user.ID) (sum Progress, err error) {
	jobs, err := l.JobsOf(ctx, []ledger.Version{v})
	if err != nil {
		return Progress{}, fmt.Errorf("tasks: progress: %w", err)
	}
	canceled := jobs[v].Counts.Flagged
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		entries, err := l.Entries(ctx, chunk)
		if err != nil {
			return Progress{}, fmt.Errorf("tasks: progress: %w", err)
		}
		for _, e := range entries {
			sum.count(e, v, canceled)
		}
	}
	return sum, nil
}

func (p *Progress) count(e ledger.Entry, v ledger.Version, canceled bool) {
	switch {
	case e.Version > v:
		p.Superseded++
	case e.Version < v && canceled:
		p.Canceled++
	case e.Version < v: // not marked yet
		p.Pending++
	case e.State == ledger.Succeeded:
		p.Succeeded++
	case e.State == ledger.Dead, e.State == ledger.Discarded:
		p.DeadLettered++
		if e.Failure != nil && e.Failure.Code == CodeWindow {
			p.Window++
		}
	default:
		p.Pending++
	}
}

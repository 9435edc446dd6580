package tasks

import (
	"context"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// Tasks reads what became of a job's tasks, which stay for as long as their retention. [Producer.Job]
// tells more, for longer. The error may wrap ErrJobNotFound.
func (p *Producer) Tasks(ctx context.Context, jobID string) (TaskStatus, error) {
	s, err := readTasks(ctx, p, jobID)
	if err != nil {
		return TaskStatus{}, fmt.Errorf("tasks: tasks of a job: %w", err)
	}
	return s, nil
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

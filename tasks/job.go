package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// ErrJobNotFound is wrapped when no task of a job is there: there never was one, or it ended
// and its retention has passed. The ledger knows of the users all the same.
var ErrJobNotFound = errors.New("no such job, or its results are past their retention")

// JobStatus is what the tasks of a job say.
type JobStatus struct {
	ID            string
	Operation     ledger.Operation
	PhoneNumberID string
	Queue         ledger.Queue
	Version       ledger.Version
	RequestedAt   time.Time
	// Tasks is how many the job was cut into. Ended have a result; Gone are past their
	// retention, or were deleted, or never got into Redis.
	Tasks, Ended, Gone int
	// Pending counts the users of the tasks that have not ended. Those that have are in queues.Result,
	// users of tasks that are gone in neither.
	Pending int
	Result  queues.Result
}

// Done reports whether every task has ended.
func (s JobStatus) Done() bool { return s.Ended+s.Gone == s.Tasks }

// Job reads what became of a job from its tasks, which stay for as long as their retention.
// [Producer.Progress] tells more, sooner, to who has the list of users. The error may wrap
// ErrJobNotFound.
func (p *Producer) Job(ctx context.Context, jobID string) (JobStatus, error) {
	s, err := p.job(ctx, jobID)
	if err != nil {
		return JobStatus{}, fmt.Errorf("tasks: job: %w", err)
	}
	return s, nil
}

func (p *Producer) job(ctx context.Context, jobID string) (JobStatus, error) {
	if err := CheckJobID(jobID); err != nil {
		return JobStatus{}, err
	}
	s, err := p.findJob(ctx, jobID)
	if err != nil {
		return JobStatus{}, err
	}
	infos := make([]*asynq.TaskInfo, s.Tasks)
	err = parallel.Each(ctx, parallel.UpTo(0, s.Tasks), func(_ context.Context, n int) (err error) {
		infos[n], err = p.inspector.GetTaskInfo(string(s.Queue), queues.TaskID(jobID, n))
		if queues.IsGone(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return JobStatus{}, err
	}
	for _, info := range infos {
		if err := s.add(info); err != nil {
			return JobStatus{}, err
		}
	}
	return s, nil
}

// findJob reads part 0, which says how many there are.
func (p *Producer) findJob(ctx context.Context, jobID string) (JobStatus, error) {
	for _, q := range ledger.Queues() {
		if err := ctx.Err(); err != nil {
			return JobStatus{}, err
		}
		first, err := p.lookup(q, queues.TaskID(jobID, 0))
		if err != nil {
			return JobStatus{}, err
		}
		if first != nil {
			return JobStatus{
				ID: jobID, Operation: first.Operation, PhoneNumberID: first.PhoneNumberID, Queue: q,
				Version: first.Version, RequestedAt: first.RequestedAt, Tasks: first.Parts,
			}, nil
		}
	}
	return JobStatus{}, ErrJobNotFound
}

func (s *JobStatus) add(info *asynq.TaskInfo) error {
	if info == nil {
		s.Gone++
		return nil
	}
	if info.State == asynq.TaskStateCompleted && len(info.Result) > 0 {
		r, err := queues.DecodeResult(info.Result)
		if err != nil {
			return err
		}
		s.Ended++
		s.Result.Add(r)
		return nil
	}
	payload, err := queues.Decode(info.Type, info.Payload)
	if err != nil {
		return err
	}
	if info.State == asynq.TaskStateCompleted {
		s.Ended++
	} else {
		s.Pending += len(payload.Users)
	}
	return nil
}

package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// Enqueue accepts a job: it takes a version, enqueues the tasks, and marks the users in the
// ledger, which pokes idle workers. It returns when all tasks are in Redis. When only a part
// got there the error is an [*EnqueueError]; every other error means that nothing was
// enqueued. The Job that comes with an error has the ID to repeat the request with.
func (p *Producer) Enqueue(ctx context.Context, r Request) (Job, error) {
	named := r.JobID != ""
	r, err := p.complete(r)
	if err != nil {
		return Job{ID: r.JobID, Operation: r.Operation}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if !named {
		r.JobID = newJobID()
	}
	e := &enqueuing{
		p: p, r: r, ledger: ledger.New(p.rdb, r.PhoneNumberID), at: time.Now(),
		// Of its own: a Client registers a queue once in its life, and not again after Redis
		// has lost its data.
		client: asynq.NewClientFromRedisClient(p.rdb),
		parts:  (len(r.Users) + queues.MaxUsersPerTask - 1) / queues.MaxUsersPerTask,
	}
	job := Job{
		ID: r.JobID, Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, Queue: r.Queue,
		Users: r.Users, Accepted: len(r.Users), Tasks: e.parts,
	}
	if err := e.run(ctx, named); err != nil {
		err = &EnqueueError{
			JobID: r.JobID, Tasks: e.tasks, TotalTasks: e.parts,
			Users: e.users, TotalUsers: len(r.Users), Err: queues.Explain(err),
		}
		job.Version, job.Accepted, job.Tasks = e.version, e.users, e.tasks
		return job, err
	}
	job.Version = e.oldest
	return job, nil
}

// enqueuing is one run of Enqueue.
type enqueuing struct {
	p      *Producer
	r      Request
	ledger *ledger.Ledger
	client *asynq.Client
	at     time.Time
	parts  int
	// version is that of the job; with delayed, whether it is put off, fixed before the parts
	// run in parallel.
	version ledger.Version
	delayed bool

	mu           sync.Mutex
	tasks, users int
	// oldest is the least version among the parts: they differ only when an earlier attempt's
	// part 0 ended and was forgotten before the others.
	oldest ledger.Version
}

func (e *enqueuing) run(ctx context.Context, named bool) error {
	if err := e.takeVersion(ctx, named); err != nil {
		return err
	}
	// Part 0 goes first: what it meets in Redis decides over the version of the rest.
	first, err := e.part(ctx, 0)
	if err != nil {
		return err
	}
	e.version, e.delayed = first.Version, first.Delayed
	return parallel.Each(ctx, parallel.UpTo(1, e.parts), func(ctx context.Context, n int) error {
		_, err := e.part(ctx, n)
		return err
	})
}

// takeVersion takes the version of an earlier attempt of the same job, or the one that was
// named, or a new one.
func (e *enqueuing) takeVersion(ctx context.Context, named bool) error {
	e.delayed = e.r.Delay > 0
	if named {
		found, err := e.p.lookup(e.r.Queue, queues.TaskID(e.r.JobID, 0))
		if err != nil {
			return err
		}
		if found != nil {
			e.version, e.delayed = found.Version, found.Delayed
		}
	}
	if e.version == 0 {
		e.version = e.r.Version
	}
	if e.version == 0 {
		v, err := e.ledger.NextVersion(ctx)
		if err != nil {
			return err
		}
		e.version = v + ledger.Version(e.r.Delay.Microseconds())
	}
	return nil
}

// due is when a delayed job may start. asynq cuts the fraction of the second off.
func (e *enqueuing) due() time.Time {
	return later(e.version.Time(), e.at.Add(e.r.Delay)).Add(time.Second - time.Nanosecond)
}

// later returns the later of two times: what Redis's clock says and what ours says. If one is
// wrong, a delayed job starts late, and never early.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (e *enqueuing) payload(n int) queues.Payload {
	users := e.r.Users[n*queues.MaxUsersPerTask : min((n+1)*queues.MaxUsersPerTask, len(e.r.Users))]
	return queues.Payload{
		JobID: e.r.JobID, PhoneNumberID: e.r.PhoneNumberID, Operation: e.r.Operation, Version: e.version,
		Users: users, Part: n, Parts: e.parts, RequestedAt: e.at, Delayed: e.delayed,
	}
}

// part enqueues and marks one chunk, and returns what stands of it in Redis.
func (e *enqueuing) part(ctx context.Context, n int) (queues.Payload, error) {
	payload := e.payload(n)
	task, err := payload.Task()
	if err != nil {
		return payload, err
	}
	opts := []asynq.Option{asynq.Queue(string(e.r.Queue)), asynq.Retention(e.r.Retention)}
	if payload.Delayed {
		opts = append(opts, asynq.ProcessAt(e.due()))
	}
	_, err = e.client.EnqueueContext(ctx, task, opts...)
	if errors.Is(err, asynq.ErrTaskIDConflict) { // a reply that was lost, or a job that is repeated
		payload, err = e.p.adopt(payload, e.r.Queue)
	}
	if err != nil {
		return payload, err
	}
	e.count(payload)
	if !payload.Delayed {
		e.mark(ctx, payload)
	}
	return payload, nil
}

func (e *enqueuing) count(p queues.Payload) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tasks++
	e.users += len(p.Users)
	if e.oldest == 0 || p.Version < e.oldest {
		e.oldest = p.Version
	}
}

// mark tells the ledger. The task is accepted already, and its handler marks what is missing,
// so a failure costs time alone.
func (e *enqueuing) mark(ctx context.Context, p queues.Payload) {
	requests := make([]ledger.Request, len(p.Users))
	for i, u := range p.Users {
		requests[i] = ledger.Request{User: u, Operation: p.Operation, Queue: e.r.Queue, Version: p.Version}
	}
	if _, err := e.ledger.Mark(ctx, requests); err != nil {
		e.p.cfg.Logger.WarnContext(ctx, "users not marked yet, their task will", "job_id", p.JobID, "error", err)
	}
}

// adopt returns the payload that stands in Redis under the task ID of mine, in its place.
func (p *Producer) adopt(mine queues.Payload, q ledger.Queue) (queues.Payload, error) {
	found, err := p.lookup(q, mine.TaskID())
	if err != nil {
		return queues.Payload{}, err
	}
	if found == nil { // it ended in between, and its retention with it: it was accepted
		return mine, nil
	}
	same := found.Operation == mine.Operation && found.PhoneNumberID == mine.PhoneNumberID &&
		found.Parts == mine.Parts && slices.Equal(found.Users, mine.Users)
	if !same {
		return queues.Payload{}, ErrJobConflict
	}
	return *found, nil
}

// lookup returns the payload of a task, nil when there is no such task.
func (p *Producer) lookup(q ledger.Queue, id string) (*queues.Payload, error) {
	info, err := p.inspector.GetTaskInfo(string(q), id)
	if queues.IsGone(err) {
		return nil, nil //nolint:nilnil // the comment says so
	}
	if err != nil {
		return nil, err
	}
	found, err := queues.Decode(info.Type, info.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJobConflict, err)
	}
	return &found, nil
}

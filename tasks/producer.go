package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Rejection is one input that names no user: what it was, its place (from 1), and why.
type Rejection = numbers.Rejection

// Operation is the change that a request asks for.
type Operation = ledger.Operation

// Queue is the line that a request waits in.
type Queue = ledger.Queue

// The operations, and the queues of producers: interactive work goes before bulk.
const (
	Block       = ledger.Block
	Unblock     = ledger.Unblock
	Interactive = ledger.Interactive
	Bulk        = ledger.Bulk
)

// The defaults of a producer.
const (
	DefaultRetention = time.Hour
	// InteractiveUpTo is the number of users up to which a job goes into the queue
	// interactive when none is named; larger ones go into bulk.
	InteractiveUpTo = 50
)

// ErrNoUsers is returned, wrapped, when a job names no user: nothing was enqueued.
var ErrNoUsers = errors.New("no users")

// ProducerConfig tunes a Producer; its zero value works.
type ProducerConfig struct {
	// PhoneNumberID chooses the blocklist of jobs that name none. Empty: each job must.
	PhoneNumberID string
	// Retention is the time that asynq keeps a task, with its result, after its end; default
	// DefaultRetention. A job ID may be repeated safely for as long.
	Retention time.Duration
	// Jobs bound what is kept of jobs; the zero value is 30 days and 100,000 jobs a phone number ID.
	Jobs ledger.JobLimits
	// Names bound what is kept of users' names; the zero value is 30 days and 200,000 names a phone number ID.
	Names ledger.NameLimits
	// Logger is told what went wrong without harm; default none.
	Logger *slog.Logger
	// Via says for the audit log by which way cancels and undos come, such as "over the HTTP API"; "" for nothing.
	Via string
}

// Producer takes requests in: it writes them into Redis, and when it returns they are as safe
// as Redis is. Safe for concurrent use.
type Producer struct {
	rdb       redis.UniversalClient
	cfg       ProducerConfig
	inspector *asynq.Inspector
}

// NewProducer returns a Producer on rdb, which stays the caller's to close.
func NewProducer(rdb redis.UniversalClient, cfg ProducerConfig) (*Producer, error) {
	if rdb == nil {
		return nil, errors.New("tasks: new producer: no Redis client")
	}
	if cfg.PhoneNumberID != "" {
		if err := queues.CheckPhoneNumberID(cfg.PhoneNumberID); err != nil {
			return nil, fmt.Errorf("tasks: new producer: %w", err)
		}
	}
	if cfg.Retention == 0 {
		cfg.Retention = DefaultRetention
	}
	if err := checkRetention(cfg.Retention); err != nil {
		return nil, fmt.Errorf("tasks: new producer: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Producer{rdb: rdb, cfg: cfg, inspector: asynq.NewInspectorFromRedisClient(rdb)}, nil
}

// PhoneNumberID returns that of jobs which name none; "" when each must.
func (p *Producer) PhoneNumberID() string { return p.cfg.PhoneNumberID }

// Block asks for users to be blocked: phone numbers or BSUIDs as people write them. Inputs
// that name no user are in the Job's Rejected, and the rest goes on; without any that does,
// the error is ErrNoUsers. See [Producer.Enqueue] for the other errors.
func (p *Producer) Block(ctx context.Context, inputs []string, opts ...Option) (Job, error) {
	return p.parseAndEnqueue(ctx, ledger.Block, inputs, opts)
}

// Unblock asks for users to be unblocked; otherwise it is as Block. Meta lets a business block
// only who wrote to it in the last 24 hours, so an unblocking can't always be taken back.
func (p *Producer) Unblock(ctx context.Context, inputs []string, opts ...Option) (Job, error) {
	return p.parseAndEnqueue(ctx, ledger.Unblock, inputs, opts)
}

func (p *Producer) parseAndEnqueue(ctx context.Context, op ledger.Operation, inputs []string, opts []Option) (Job, error) {
	r, err := NewRequest(op, inputs, opts...)
	if err != nil {
		return Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if r.Users, r.Rejected, err = p.Allowed(ctx, r, r.Users, r.Rejected); err != nil {
		return Job{Operation: op, Rejected: r.Rejected}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	job, err := p.Enqueue(ctx, r)
	job.Rejected = r.Rejected
	return job, err
}

// Allowed returns the users that r may block, and the protected ones behind what was rejected before, without a
// line. All may be unblocked. A phone number ID that is wrong is left to Enqueue, which says so.
func (p *Producer) Allowed(ctx context.Context, r Request, users []user.ID, rejected []Rejection) ([]user.ID, []Rejection, error) {
	id := cmp.Or(r.PhoneNumberID, p.cfg.PhoneNumberID)
	if r.Operation != ledger.Block || queues.CheckPhoneNumberID(id) != nil {
		return users, rejected, nil
	}
	found, err := protect.Check(ctx, p.rdb, id, users)
	if err != nil || len(found) == 0 {
		return users, rejected, err
	}
	var kept []user.ID
	for _, u := range users {
		if e, protected := found[u]; protected {
			rejected = append(rejected, Rejection{Input: u.Reveal(), Reason: e.Why()})
		} else {
			kept = append(kept, u)
		}
	}
	if len(kept) == 0 {
		return nil, rejected, fmt.Errorf("%w: all that are valid are protected", ErrNoUsers)
	}
	return kept, rejected, nil
}

// Enqueue accepts a job: it takes a version, enqueues the tasks, and marks the users in the
// ledger, which wakes idle workers. It returns when all tasks are in Redis. When only a part
// got there the error is an [*EnqueueError]; every other error means that nothing was
// enqueued. The Job that comes with an error has the ID to repeat the request with.
func (p *Producer) Enqueue(ctx context.Context, r Request) (Job, error) {
	named := r.JobID != ""
	given := r.Users
	r, err := r.Complete(p.cfg)
	if err != nil {
		return Job{ID: r.JobID, Operation: r.Operation}, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if !named {
		r.JobID = newJobID()
	}
	e := newEnqueuing(p, r)
	job := Job{
		ID: r.JobID, Operation: r.Operation, PhoneNumberID: r.PhoneNumberID, Queue: r.Queue,
		Users: r.Users, Accepted: len(r.Users), Tasks: e.parts,
	}
	if named {
		job.Users, _ = distinct(given) // complete has seen that they are right
	}
	err = e.run(ctx, named)
	job.Version, job.Repeated = e.version, e.repeated
	if errors.Is(err, ErrPastEnd) {
		job.Accepted, job.Tasks = 0, 0
		return job, fmt.Errorf("tasks: enqueue: %w", err)
	}
	if err != nil {
		job.Accepted, job.Tasks = e.users, e.tasks
		return job, &EnqueueError{
			JobID: r.JobID, Tasks: e.tasks, TotalTasks: e.parts,
			Users: e.users, TotalUsers: len(r.Users), Err: queues.Explain(err),
		}
	}
	if !r.Unlisted && !job.Repeated {
		p.audit(ctx, r)
	}
	return job, nil
}

// audit writes an accepted job, and who asked for it, into the audit log. Without it the job counts all the same.
func (p *Producer) audit(ctx context.Context, r Request) {
	e := audit.Event{
		Action: audit.Job, By: r.Requester, PhoneNumberID: r.PhoneNumberID, Operation: string(r.Operation), JobID: r.JobID,
		Users: len(r.Users), Reason: r.Reason, Reference: r.Reference,
	}
	if r.undoOf != "" {
		e.Detail = "undoes job " + r.undoOf
	}
	p.recordDone(ctx, e)
}

// recordDone writes an event into the audit log. Without it, what was done counts all the same.
func (p *Producer) recordDone(ctx context.Context, e audit.Event) {
	if err := audit.Record(ctx, p.rdb, e); err != nil {
		p.cfg.Logger.WarnContext(ctx, "done, but not written into the audit log", "action", string(e.Action), "job_id", e.JobID, "error", err)
	}
}

// Tasks reads what became of a job's tasks, which stay for as long as their retention. [Producer.Job]
// tells more, for longer. The error may wrap ErrJobNotFound.
func (p *Producer) Tasks(ctx context.Context, jobID string) (TaskStatus, error) {
	s, err := readTasks(ctx, p, jobID)
	if err != nil {
		return TaskStatus{}, fmt.Errorf("tasks: tasks of a job: %w", err)
	}
	return s, nil
}

// Progress counts what the ledger holds of a job: pass what Enqueue returned. It is exact while
// the job runs; a user whose request was done and then asked for again counts as superseded.
func (p *Producer) Progress(ctx context.Context, phoneNumberID string, v ledger.Version, users []user.ID) (Progress, error) {
	if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
		return Progress{}, fmt.Errorf("tasks: progress: %w", err)
	}
	return readProgress(ctx, ledger.New(p.rdb, phoneNumberID), v, users)
}

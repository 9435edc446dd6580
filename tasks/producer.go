package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Rejection is one input that names no user: what it was, its place (from 1), and why.
type Rejection = numbers.Rejection

// Operation is what a request asks for, and Queue where it waits for its turn.
type (
	Operation = ledger.Operation
	Queue     = ledger.Queue
)

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

// ErrNoUsers is returned, wrapped, when a job names nobody: nothing was enqueued.
var ErrNoUsers = errors.New("no users")

// ProducerConfig tunes a Producer; its zero value works.
type ProducerConfig struct {
	// PhoneNumberID is whose blocklist is meant when a job names none. Empty: each job must.
	PhoneNumberID string
	// Retention is how long asynq keeps a task, with its result, after its end; default
	// DefaultRetention. A job ID may be repeated safely for as long.
	Retention time.Duration
	// Logger is told what went wrong without harm; default none.
	Logger *slog.Logger
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

// Job is a request that was accepted.
type Job struct {
	ID            string
	Operation     ledger.Operation
	PhoneNumberID string
	Queue         ledger.Queue
	// Version is what the ledger orders the job by.
	Version ledger.Version
	// Users are those accepted, each once, in the order given.
	Users []user.ID
	// Accepted is the number of Users.
	Accepted int
	// Rejected are the inputs that name no user; they are in no task.
	Rejected []Rejection
	// Tasks is how many asynq tasks the job was cut into.
	Tasks int
}

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
	r := Request{Operation: op}
	for _, o := range opts {
		o(&r)
	}
	list := numbers.Parse(inputs, user.Country{})
	r.Users = list.Users
	if len(r.Users) == 0 {
		return Job{Operation: op, Rejected: list.Rejected},
			fmt.Errorf("tasks: enqueue: %w: none of %d inputs is a phone number or BSUID", ErrNoUsers, len(inputs))
	}
	job, err := p.Enqueue(ctx, r)
	job.Rejected = list.Rejected
	return job, err
}

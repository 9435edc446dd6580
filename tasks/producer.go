package tasks

import (
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
	"github.com/wablock/wablock/tasks/queues"
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

// recordDone writes an event into the audit log. Without it, what was done counts all the same.
func (p *Producer) recordDone(ctx context.Context, e audit.Event) {
	if err := audit.Record(ctx, p.rdb, e); err != nil {
		p.cfg.Logger.WarnContext(ctx, "done, but not written into the audit log", "action", string(e.Action), "job_id", e.JobID, "error", err)
	}
}

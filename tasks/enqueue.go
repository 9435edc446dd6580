package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/traces"
)

// enqueuing is one run of Enqueue.
//
// All parts of a job have one version, which its first attempt takes: else a repeated request
// would be newer than what was asked for since. The version stands in each task for as long as
// asynq keeps it. Tasks that were never enqueued can't show that the job goes on, so a job of
// several parts has a key of its own (see begun) from before its first part is enqueued.
type enqueuing struct {
	p      *Producer
	r      Request
	ledger *ledger.Ledger
	client *asynq.Client
	at     time.Time
	parts  int
	// version is that of the job, and delayed whether it is put off: of its first attempt, and
	// fixed before the parts run in parallel.
	version ledger.Version
	delayed bool
	// repeated says that an earlier attempt, or another at the same time, was found.
	repeated bool
	due      time.Time // of a delayed one; zero in one that an older program has put off
	text     string    // digest of who asked and why, of the first attempt
	counted  bool      // the job is registered at its version
	// record holds what this run has registered, nil for nothing; restored says that it had to be registered again.
	record   *ledger.JobRecord
	restored bool
	ends     time.Time // of a timed block
	// traceparent names the request's span for the tasks.
	traceparent string

	mu           sync.Mutex
	tasks, users int // accepted
}

func newEnqueuing(p *Producer, r Request) *enqueuing {
	return &enqueuing{
		p: p, r: r, ledger: ledger.New(p.rdb, r.PhoneNumberID), at: time.Now(),
		// Of its own: a Client registers a queue once in its life, and not again after Redis
		// has lost its data.
		client: asynq.NewClientFromRedisClient(p.rdb),
		parts:  (len(r.Users) + queues.MaxUsersPerTask - 1) / queues.MaxUsersPerTask,
	}
}

func (e *enqueuing) run(ctx context.Context, named bool) (err error) {
	ctx, span := traces.Send(ctx, traces.Work{
		PhoneNumberID: e.r.PhoneNumberID, Operation: string(e.r.Operation), Users: len(e.r.Users), Queue: string(e.r.Queue), JobID: e.r.JobID,
	})
	defer func() { traces.End(span, "", err) }()
	e.traceparent = traces.Parent(ctx)
	if err := e.takeVersion(ctx, named); err != nil {
		return err
	}
	if err := e.enqueue(ctx, named); err != nil {
		return err
	}
	for range restores {
		if !e.restored {
			break
		}
		e.restored, e.tasks, e.users = false, 0, 0 // what was lost of the job may be more than its record
		if err := e.enqueue(ctx, false); err != nil {
			return err
		}
	}
	if err := e.remember(ctx, true); err != nil {
		e.p.cfg.Logger.WarnContext(ctx, "the job's key still says that parts are missing", "job_id", e.r.JobID, "error", err)
	}
	return nil
}

// restores bounds how often a job is enqueued again because Redis has lost its registration meanwhile.
const restores = 3

// enqueue enqueues and marks all parts.
func (e *enqueuing) enqueue(ctx context.Context, named bool) error {
	if err := e.remember(ctx, false); err != nil {
		return err
	}
	ids := make([]string, e.parts)
	for n := range ids {
		ids[n] = queues.TaskID(e.r.JobID, n)
	}
	if err := queues.Index(ctx, e.p.rdb, e.r.PhoneNumberID, e.r.Queue, ids...); err != nil {
		return err
	}
	// Part 0 goes first: of two first attempts at once, the one that enqueues it decides over
	// the version of the rest.
	first, found, err := e.part(ctx, 0)
	if err != nil {
		return err
	}
	e.repeated = e.repeated || named && found
	e.takeOver(first)
	return parallel.Each(ctx, parallel.Scripts, parallel.UpTo(1, e.parts), func(ctx context.Context, n int) error {
		_, _, err := e.part(ctx, n)
		return err
	})
}

// takeVersion takes the version of an earlier attempt of the same job, or the one that was
// named, or a new one.
func (e *enqueuing) takeVersion(ctx context.Context, named bool) error {
	if named {
		found, err := e.earlier(ctx)
		if err != nil || found {
			e.repeated = found
			return err
		}
	}
	if e.r.Unlisted {
		e.version = e.r.Version
		return nil
	}
	if err := e.r.CheckEnd(time.Now()); err != nil {
		return err
	}
	return e.register(ctx, named)
}

// register makes a job of the request, with a version of its own.
func (e *enqueuing) register(ctx context.Context, named bool) error {
	now, err := e.p.rdb.Time(ctx).Result()
	if err != nil {
		return err
	}
	wanted := e.r.Version
	if !e.r.AsOf.IsZero() {
		wanted = ledger.Version(e.r.AsOf.UnixMicro())
	}
	e.text, e.counted, e.delayed = e.r.text().Digest(), true, e.r.Delay > 0
	record := ledger.JobRecord{
		ID: e.r.JobID, Operation: e.r.Operation, Queue: e.r.Queue, Text: e.text, At: now.UnixMilli(),
		Accepted: len(e.r.Users), Parts: e.parts, Rejected: len(e.r.Rejected), UndoOf: e.r.undoOf, Traceparent: e.traceparent,
	}
	if e.ends = e.r.Until.Truncate(time.Millisecond); !e.r.Until.IsZero() {
		record.Ends = e.ends.UnixMilli()
	}
	if e.delayed {
		e.due = now.Add(e.r.Delay).Truncate(time.Microsecond)
		record.Due = e.due.UnixMilli()
	}
	if named {
		record.Request = e.digest()[:16]
	}
	e.version, err = e.ledger.Register(ctx, record, e.r.text(), wanted, e.p.cfg.Jobs)
	e.record = &record
	return err
}

// restore registers the job again, where a failover has lost that since: a task of it is in Redis, and it is to be found
// and counted for as long as that is there.
func (e *enqueuing) restore(ctx context.Context, v ledger.Version) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.record == nil || v != e.version {
		return nil
	}
	known, err := e.ledger.Registered(ctx, v)
	if err != nil || known {
		return err
	}
	e.restored = true
	_, err = e.ledger.Register(ctx, *e.record, e.r.text(), v, e.p.cfg.Jobs)
	return err
}

// takeOver takes from a part of an earlier attempt what all parts of a job share.
func (e *enqueuing) takeOver(first queues.Payload) {
	e.version, e.delayed, e.due, e.text, e.counted = first.Version, first.Delayed, first.Due, first.Text, first.Counted
	e.ends = first.Ends
}

// earlier takes the version of an earlier attempt, if that was the same request and has not
// ended, its retention included. A repeat counts from another moment, so the first attempt's times hold; but a block for
// good is no repeat of one that ends by itself.
func (e *enqueuing) earlier(ctx context.Context) (found bool, err error) {
	part, q, err := findPart(ctx, e.p, e.r.JobID, e.parts)
	if err != nil {
		return false, err
	}
	if part != nil {
		if q != e.r.Queue || !e.same(*part) || part.Ends.IsZero() != e.r.Until.IsZero() {
			return false, ErrJobConflict
		}
		e.takeOver(*part)
		return true, e.refuseCanceled(ctx)
	}
	b, err := readBegun(ctx, e.p.rdb, e.r.JobID)
	if err != nil || b == nil || b.Enqueued || b.Request != e.digest() {
		return false, err // no attempt, or one that has ended, or a job that was given up
	}
	e.version, e.delayed, e.text, e.counted = b.Version, b.Delayed, b.Text, b.Counted
	if b.Due > 0 {
		e.due = time.UnixMicro(b.Due).UTC()
	}
	if b.Ends > 0 {
		e.ends = time.UnixMilli(b.Ends).UTC()
	}
	return true, nil
}

// refuseCanceled returns an error where the job that is repeated was canceled: nothing would come of it.
func (e *enqueuing) refuseCanceled(ctx context.Context) error {
	jobs, err := e.ledger.JobsOf(ctx, []ledger.Version{e.version})
	if err == nil && jobs[e.version].Counts.Flagged {
		err = ErrJobCanceled
	}
	return err
}

// same reports whether a task in Redis is the part of this job.
func (e *enqueuing) same(found queues.Payload) bool {
	if found.Parts != e.parts {
		return false
	}
	mine := e.payload(found.Part)
	return found.Operation == mine.Operation && found.PhoneNumberID == mine.PhoneNumberID && slices.Equal(found.Users, mine.Users)
}

func (e *enqueuing) payload(n int) queues.Payload {
	users := e.r.Users[n*queues.MaxUsersPerTask : min((n+1)*queues.MaxUsersPerTask, len(e.r.Users))]
	return queues.Payload{
		JobID: e.r.JobID, PhoneNumberID: e.r.PhoneNumberID, Operation: e.r.Operation, Version: e.version,
		Users: users, Part: n, Parts: e.parts, RequestedAt: e.at, Delayed: e.delayed,
		Due: e.due, Text: e.text, Counted: e.counted, Ends: e.ends, Traceparent: e.traceparent,
	}
}

// part enqueues and marks one chunk, and returns what stands of it in Redis, and whether it was found there.
func (e *enqueuing) part(ctx context.Context, n int) (stands queues.Payload, found bool, err error) {
	payload := e.payload(n)
	task, err := payload.Task()
	if err != nil {
		return payload, false, err
	}
	opts := []asynq.Option{asynq.Queue(string(e.r.Queue)), asynq.Retention(e.r.Retention)}
	if payload.Delayed { // asynq cuts the fraction of the second off
		opts = append(opts, asynq.ProcessAt(payload.DueAt().Add(time.Second-time.Nanosecond)))
	}
	if err := e.list(ctx, payload); err != nil {
		return payload, false, err
	}
	if payload.Delayed && payload.Counted {
		if err := e.ledger.Plan(ctx, payload.Plan(), payload.Users); err != nil {
			return payload, false, err
		}
	}
	_, err = e.client.EnqueueContext(ctx, task, opts...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		dropped, dropErr := queues.DropRemains(ctx, e.p.rdb, string(e.r.Queue), payload.TaskID())
		if dropErr != nil {
			return payload, false, dropErr
		}
		if dropped {
			_, err = e.client.EnqueueContext(ctx, task, opts...)
		}
	}
	if found = errors.Is(err, asynq.ErrTaskIDConflict); found { // a reply that was lost, or a job that is repeated
		payload, err = e.adopt(payload)
	}
	if err != nil {
		return payload, false, err
	}
	e.mu.Lock()
	e.tasks++
	e.users += len(payload.Users)
	e.mu.Unlock()
	if !found {
		if err := e.restore(ctx, payload.Version); err != nil {
			return payload, false, err
		}
	}
	if !payload.Delayed {
		e.mark(ctx, payload)
	}
	return payload, found, nil
}

// adopt returns the payload that stands in Redis under the task ID of mine.
func (e *enqueuing) adopt(mine queues.Payload) (queues.Payload, error) {
	found, err := lookup(e.p, e.r.Queue, mine.TaskID())
	switch {
	case err != nil:
		return queues.Payload{}, err
	case found == nil: // it ended in between, and its retention with it: it was accepted
		return mine, nil
	case !e.same(*found):
		return queues.Payload{}, ErrJobConflict
	}
	return *found, nil
}

// list keeps the part's users as they were given, for the job's report.
func (e *enqueuing) list(ctx context.Context, p queues.Payload) error {
	if !p.Counted {
		return nil
	}
	var rejected []Rejection
	if p.Part == 0 {
		rejected = e.r.Rejected
	}
	return e.ledger.PutList(ctx, p.Version, p.Part+1, encodeList(p.Users, e.r.Given, rejected))
}

// mark tells the ledger. The task is accepted already, and its handler marks what is missing,
// so a failure costs time alone.
func (e *enqueuing) mark(ctx context.Context, p queues.Payload) {
	requests := make([]ledger.Request, len(p.Users))
	for i, u := range p.Users {
		requests[i] = ledger.Request{User: u, Operation: p.Operation, Queue: e.r.Queue, Version: p.Version, Job: p.Job()}
	}
	if _, err := e.ledger.Mark(ctx, requests); err != nil {
		e.p.cfg.Logger.WarnContext(ctx, "users not marked yet, their task will", "job_id", p.JobID, "error", err)
		return
	}
	if p.Ends.IsZero() {
		return
	}
	if err := ledger.EndsAt(ctx, e.p.rdb, p.PhoneNumberID, p.Ends); err != nil { // the task's worker does it too
		e.p.cfg.Logger.WarnContext(ctx, "the end of a timed block is not noted yet", "job_id", p.JobID, "error", err)
	}
}

// digest tells two requests apart.
func (e *enqueuing) digest() string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s %s", e.r.Operation, e.r.PhoneNumberID, e.r.Queue) // a hash takes everything
	for _, u := range e.r.Users {
		_, _ = fmt.Fprintf(h, "\n%s", u.Reveal())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// remember writes the job's key, for a job of several parts; all says that all were enqueued.
func (e *enqueuing) remember(ctx context.Context, all bool) error {
	if e.parts == 1 {
		return nil
	}
	b, err := json.Marshal(begun{
		Version: e.version, Delayed: e.delayed, Due: max(0, e.due.UnixMicro()), Ends: max(0, e.ends.UnixMilli()), Text: e.text, Counted: e.counted, Queue: e.r.Queue, Parts: e.parts, Request: e.digest(), Enqueued: all,
	})
	if err != nil {
		return err
	}
	return e.p.rdb.Set(ctx, begunKey(e.r.JobID), b, begunFor+e.r.Delay).Err()
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/traces"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/lane"
)

// handler runs the tasks of all of the worker's queues.
type handler struct {
	redis    redis.UniversalClient
	producer *tasks.Producer
	dead     *deadletter.Queue
	client   *asynq.Client
	lanes    *lane.Pool
	ended    *unindexer
	died     func(ctx context.Context, phoneNumberID string, entries []ledger.Entry)
	slots    Slots // nil leaves schedules to other workers
	log      *slog.Logger
}

// ProcessTask runs a task. It never returns an error that would make asynq archive it.
func (h *handler) ProcessTask(ctx context.Context, t *asynq.Task) error {
	err := h.process(ctx, t)
	if err != nil {
		return h.requeueInsteadOfArchive(ctx, t, err)
	}
	return nil
}

func (h *handler) process(ctx context.Context, t *asynq.Task) error {
	switch t.Type() {
	case queues.TypeBlock, queues.TypeUnblock:
	case queues.TypeDeadLetter:
		return deadletter.RedriveTask(ctx, h.dead, h.producer, t)
	case queues.TypeReconcile:
		return h.runSlot(ctx, t)
	default:
		return h.refuse(ctx, t, fmt.Errorf("%w: no worker knows the task type", queues.ErrMalformed))
	}
	p, err := queues.Decode(t.Type(), t.Payload())
	if err != nil {
		return h.refuse(ctx, t, err)
	}
	ctx, span := traces.Process(ctx, traces.Work{
		PhoneNumberID: p.PhoneNumberID, Operation: string(p.Operation), Users: len(p.Users), Queue: string(queueOf(ctx)), JobID: p.JobID,
	}, p.Traceparent)
	err = h.processDue(ctx, t, p)
	endRun(span, err)
	return err
}

// endRun ends the span of a task's run: to be deferred is an outcome, and no error.
func endRun(span trace.Span, err error) {
	if d, deferred := errors.AsType[*deferral](err); deferred {
		traces.End(span, "deferred: "+d.why, nil)
		return
	}
	traces.End(span, "", err)
}

// processDue follows the users of a task that is due.
func (h *handler) processDue(ctx context.Context, t *asynq.Task, p queues.Payload) error {
	wait, err := dueIn(ctx, h.redis, p)
	if errors.Is(err, queues.ErrMalformed) {
		return h.refuse(ctx, t, err)
	}
	if err != nil {
		h.log.Error("worker: it is not known whether a delayed task is due; it is tried again", keyError, err.Error())
		return &deferral{after: spread(redisRetryDelay), why: "Redis did not answer whether it is due"}
	}
	if wait > 0 { // asynq cuts the fraction of the second off
		return &deferral{after: min(wait+time.Second, spread(maxPutBack)), why: "it is delayed, and not due yet"}
	}
	return h.follow(ctx, t, p)
}

// dueIn returns the time until a delayed task is due. It may be run before that, by asynq's own
// tools, or by a worker whose clock is ahead. Were it marked then, at its version, every request
// until it is due would lose to it. For the same reason a version that Redis can't have given out is refused,
// with an error that is queues.ErrMalformed.
func dueIn(ctx context.Context, rdb redis.UniversalClient, p queues.Payload) (time.Duration, error) {
	if !p.Delayed && !p.AheadOf(time.Now()) {
		return 0, nil
	}
	now, err := ledger.New(rdb, p.PhoneNumberID).NextVersion(ctx)
	if err != nil {
		return 0, err
	}
	wait := p.DueIn(now)
	if wait == 0 && p.AheadOf(now.Time()) {
		return 0, fmt.Errorf("%w: its version is of %s, which has not come", queues.ErrMalformed, p.Version.Time().UTC().Format(time.RFC3339))
	}
	return wait, nil
}

// follow follows a task's users. Those that have not ended after a while, or are not expected to,
// go back to asynq with their task: the lane goes on with them all the same.
func (h *handler) follow(ctx context.Context, t *asynq.Task, p queues.Payload) error {
	progress, err := h.lanes.Follow(ctx, p, queueOf(ctx))
	switch {
	case errors.Is(err, lane.ErrNoLane):
		return &deferral{after: spread(maxDeferral / 2), why: "the worker stops, or serves too many phone number IDs"}
	case err != nil:
		h.log.Error("worker: the states of a task's users could not be read; the task is tried again", keyError, err.Error())
		return &deferral{after: spread(redisRetryDelay), why: "Redis did not answer where its users stand"}
	}
	if !p.Ends.IsZero() {
		if err := ledger.EndsAt(ctx, h.redis, p.PhoneNumberID, p.Ends); err != nil {
			h.log.Error("worker: the end of a timed block could not be noted; the task is tried again", keyError, err.Error())
			return &deferral{after: spread(redisRetryDelay), why: "Redis did not take note of when its blocks end"}
		}
	}
	if err := h.ensureDeadLetters(ctx, p, progress.Dead, &progress.Result); err != nil {
		h.log.Error("worker: the dead-letter queue could not be written; the task is tried again", keyError, err.Error())
		return &deferral{after: spread(redisRetryDelay), why: "the dead-letter queue could not be written"}
	}
	if progress.Left == 0 {
		h.unplan(ctx, p)
		h.ended.add(p.PhoneNumberID, queueOf(ctx), p.TaskID())
		return writeResult(t, progress.Result)
	}
	why := fmt.Sprintf("%d of %d users wait (%s)", progress.Left, len(p.Users), progress.Why)
	return &deferral{after: deferFor(progress.Delay, time.Since(p.RequestedAt)), why: why}
}

// unplan ends what status shows as planned: the users are marked, and have ended.
func (h *handler) unplan(ctx context.Context, p queues.Payload) {
	if !p.Delayed || !p.Counted {
		return
	}
	if err := ledger.New(h.redis, p.PhoneNumberID).Unplan(ctx, p.Plan(), p.Users); err != nil {
		h.log.Warn("worker: what was planned for users is still kept", keyError, err.Error()) // and passed over
	}
}

// ensureDeadLetters puts users that were found dead into the dead-letter queue: the worker that
// settled them may have died just before.
func (h *handler) ensureDeadLetters(ctx context.Context, p queues.Payload, dead []user.ID, r *queues.Result) error {
	if len(dead) == 0 {
		return nil
	}
	entries, err := ledger.New(h.redis, p.PhoneNumberID).Entries(ctx, dead)
	if err != nil {
		return err
	}
	var letters []deadletter.Letter
	var died []ledger.Entry
	for _, e := range entries {
		if e.State != ledger.Dead || e.Version != p.Version {
			continue // redriven, discarded or requested anew since
		}
		letters, died = append(letters, deadletter.Of(p.PhoneNumberID, e)), append(died, e)
		if e.Failure != nil && e.Failure.Code != 0 {
			r.Add(queues.Result{Codes: map[int]int{e.Failure.Code: 1}})
		}
	}
	if err := h.dead.Put(ctx, letters...); err != nil {
		return err
	}
	h.died(ctx, p.PhoneNumberID, died)
	return nil
}

// ensureOnce is ensureDeadLetters for a task that another handler reports on.
func (h *handler) ensureOnce(ctx context.Context, p queues.Payload, dead []user.ID) error {
	var unused queues.Result
	return h.ensureDeadLetters(ctx, p, dead, &unused)
}

// refuse puts a task that cannot be read into the dead-letter queue, with the reason.
func (h *handler) refuse(ctx context.Context, t *asynq.Task, reason error) error {
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	err := h.dead.Put(ctx, deadletter.NewMalformed(t.Type(), queue, id, t.Payload(), reason))
	if err != nil {
		return &deferral{after: redisRetryDelay, why: "it is malformed, and the dead-letter queue could not be written"}
	}
	h.log.Error("worker: a malformed task went into the dead-letter queue", keyQueue, queue, keyReason, reason.Error())
	return nil
}

// Slots runs tasks of queues.TypeReconcile; *reconcile.Scheduler is one.
type Slots interface {
	// ProcessTask runs one. With again above zero the task is to be tried again after that
	// time, for the reason given; an error means that it can't be read.
	ProcessTask(ctx context.Context, t *asynq.Task) (again time.Duration, why string, err error)
}

// runSlot runs the task of a schedule's slot.
func (h *handler) runSlot(ctx context.Context, t *asynq.Task) error {
	if h.slots == nil {
		return &deferral{after: spread(maxDeferral / 2), why: "this worker runs no schedules"}
	}
	again, why, err := h.slots.ProcessTask(ctx, t)
	switch {
	case err != nil:
		return h.refuse(ctx, t, err)
	case again > 0:
		return &deferral{after: spread(again), why: why}
	}
	return nil
}

// requeueInsteadOfArchive returns err for asynq to retry the task by, unless that would archive it: asynq
// archives a task that has no retries left, even when the error is no failure, and drops what
// is archived. A task of ours never gets there; one that another program pushed may, and goes
// on as a task of ours.
func (h *handler) requeueInsteadOfArchive(ctx context.Context, t *asynq.Task, err error) error {
	retried, ok1 := asynq.GetRetryCount(ctx)
	limit, ok2 := asynq.GetMaxRetry(ctx)
	queue, ok3 := asynq.GetQueueName(ctx)
	if !ok1 || !ok2 || !ok3 || retried < limit {
		return err
	}
	_, e := h.client.EnqueueContext(context.WithoutCancel(ctx), asynq.NewTask(t.Type(), t.Payload()),
		asynq.Queue(queue), asynq.ProcessIn(retryDelay(retried, err, t)), asynq.MaxRetry(queues.MaxRetry))
	if e != nil {
		return errors.Join(err, e)
	}
	return nil
}

// deferral is the error that hands a task back to asynq until later. It is no failure, so it
// uses up no retry, and its text is what the web UI shows.
type deferral struct {
	after time.Duration
	why   string
}

func (d *deferral) Error() string {
	return fmt.Sprintf("deferred for %v: %s", d.after.Round(100*time.Millisecond), d.why)
}

// isFailure is for asynq: lost leases and deferrals must not use up its retries.
func isFailure(err error) bool {
	_, deferred := errors.AsType[*deferral](err)
	return !deferred && !errors.Is(err, asynq.ErrLeaseExpired)
}

// retryDelay is for asynq: the time until a task runs again.
func retryDelay(n int, err error, t *asynq.Task) time.Duration {
	if d, ok := errors.AsType[*deferral](err); ok {
		return d.after
	}
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return 0
	}
	if errors.Is(err, deadletter.ErrRefused) {
		return deadletter.RedriveDelay(n, err, t) // a dead letter goes back to rest, with the reason
	}
	return min(asynq.DefaultRetryDelayFunc(min(n, 10), err, t), maxDeferral)
}

func writeResult(t *asynq.Task, r queues.Result) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	// A result that can't be written costs a line in the web UI; the users have ended.
	if rw := t.ResultWriter(); rw != nil { // nil for a task that asynq has not handed over
		_, _ = rw.Write(b)
	}
	return nil
}

// deferFor returns when asynq is to look at a task again: when its users are expected to have
// ended, but for a task that has waited long not much sooner than it has waited.
func deferFor(expected, age time.Duration) time.Duration {
	return spread(min(max(expected, age/4, time.Second), maxDeferral))
}

// spread takes up to a fifth off a delay, so that tasks do not come back all at once.
func spread(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*float64(d)/5)
}

// queueOf returns the queue a task came by; another program's queue counts as bulk.
func queueOf(ctx context.Context) ledger.Queue {
	name, _ := asynq.GetQueueName(ctx)
	if q := ledger.Queue(name); q.Valid() {
		return q
	}
	return ledger.Bulk
}

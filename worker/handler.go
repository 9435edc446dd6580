package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// ProcessTask is the handler of all of the worker's queues. It never returns an error that
// would make asynq archive a task.
func (w *Worker) ProcessTask(ctx context.Context, t *asynq.Task) error {
	err := w.process(ctx, t)
	if err != nil {
		return w.giveBack(ctx, t, err)
	}
	return nil
}

func (w *Worker) process(ctx context.Context, t *asynq.Task) error {
	switch t.Type() {
	case queues.TypeBlock, queues.TypeUnblock:
	case queues.TypeDeadLetter:
		return w.dead.RedriveTask(ctx, w.producer, t)
	case queues.TypeReconcile:
		return w.runSlot(ctx, t)
	default:
		return w.refuse(ctx, t, fmt.Errorf("%w: no worker knows the task type", queues.ErrMalformed))
	}
	p, err := queues.Decode(t.Type(), t.Payload())
	if err != nil {
		return w.refuse(ctx, t, err)
	}
	wait, err := w.early(ctx, p)
	if err != nil {
		w.complain(w.cfg.Logger, "worker: Redis does not tell whether a delayed task is due; it is tried again", err)
		return &deferral{after: spread(redisRetryDelay), why: "Redis did not tell whether it is due"}
	}
	if wait > 0 { // asynq cuts the fraction of the second off
		return &deferral{after: min(wait+time.Second, spread(maxPutBack)), why: "it was put off, and is not due yet"}
	}
	return w.await(ctx, t, p)
}

// early says how long it is until a delayed task is due. It may be run before that, by asynq's own
// tools, or by a worker whose clock is ahead. Were it marked then, at its version, all that is
// asked for until it is due would lose to it.
func (w *Worker) early(ctx context.Context, p queues.Payload) (time.Duration, error) {
	if !p.Delayed {
		return 0, nil
	}
	now, err := ledger.New(w.cfg.Redis, p.PhoneNumberID).NextVersion(ctx)
	return p.DueIn(now), err
}

// refuse puts a task that cannot be read into the dead-letter queue, with the reason.
func (w *Worker) refuse(ctx context.Context, t *asynq.Task, reason error) error {
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	err := w.dead.Put(ctx, deadletter.NewMalformed(t.Type(), queue, id, t.Payload(), reason))
	if err != nil {
		return &deferral{after: redisRetryDelay, why: "it is malformed, and the dead-letter queue could not be written"}
	}
	w.cfg.Logger.Error("worker: a malformed task went into the dead-letter queue", keyQueue, queue, keyReason, reason.Error())
	return nil
}

// await waits for the ends of a task's users. What has not ended after a while, or is not
// expected to, goes back to asynq: the lane goes on with the users all the same.
func (w *Worker) await(ctx context.Context, t *asynq.Task, p queues.Payload) error {
	l, err := w.lanes.acquire(p.PhoneNumberID)
	if err != nil {
		return &deferral{after: spread(maxDeferral / 2), why: "the worker stops, or serves too many phone number IDs"}
	}
	defer w.lanes.release(l)
	queue, age := queueOf(ctx), time.Since(p.RequestedAt)
	if delay, why := l.expectedDelay(queue); delay >= longWait && age < delay/2 {
		l.poke()
		return &deferral{after: deferFor(delay, age), why: why} // not worth a look yet
	}
	watch := l.watches.add(p.Operation, queue, p.Version, p.Users)
	result, dead, left, err := w.follow(ctx, l, watch, p.Users)
	if err != nil {
		w.complain(w.cfg.Logger, "worker: Redis does not tell where a task's users stand; the task is tried again", err)
		return &deferral{after: spread(redisRetryDelay), why: "Redis did not tell where its users stand"}
	}
	if err := w.bury(ctx, p, dead, &result); err != nil {
		w.complain(w.cfg.Logger, "worker: the dead-letter queue could not be written; the task is tried again", err)
		return &deferral{after: spread(redisRetryDelay), why: "the dead-letter queue could not be written"}
	}
	if left == 0 {
		return writeResult(t, result)
	}
	delay, why := l.expectedDelay(queue)
	return &deferral{after: deferFor(delay, age), why: fmt.Sprintf("%d of %d users wait (%s)", left, len(p.Users), why)}
}

// follow marks a task's users, wakes the lane, and waits for their ends for as long as that
// makes sense.
func (w *Worker) follow(ctx context.Context, l *lane, watch *watch, users []user.ID) (r queues.Result, dead []user.ID, left int, err error) {
	err = l.look(ctx, watch, users)
	if err == nil {
		l.poke()
		l.hold(ctx, watch)
	}
	r, dead, left = l.watches.drop(watch)
	if errors.Is(err, errLaneClosed) {
		err = nil // it stops: what is left is deferred
	}
	return r, dead, left, err
}

// hold waits for the ends of a task's users, but gives the worker's slot up when they are not to
// be expected soon.
func (l *lane) hold(ctx context.Context, watch *watch) {
	tick := time.NewTicker(holdTask / 5)
	defer tick.Stop()
	for range 5 {
		if delay, _ := l.expectedDelay(watch.queue); delay >= longWait {
			return
		}
		select {
		case <-watch.done:
			return
		case <-tick.C:
		case <-l.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// bury makes sure that users which were found dead are in the dead-letter queue: the worker
// that settled them may have died just before.
func (w *Worker) bury(ctx context.Context, p queues.Payload, dead []user.ID, r *queues.Result) error {
	if len(dead) == 0 {
		return nil
	}
	entries, err := ledger.New(w.cfg.Redis, p.PhoneNumberID).Entries(ctx, dead)
	if err != nil {
		return err
	}
	var letters []deadletter.Letter
	for _, e := range entries {
		if e.State != ledger.Dead || e.Version != p.Version {
			continue // redriven, discarded or asked for anew since
		}
		letters = append(letters, deadletter.Of(p.PhoneNumberID, e))
		if e.Failure != nil {
			r.Add(codes(e.Failure.Code))
		}
	}
	return w.dead.Put(ctx, letters...)
}

func writeResult(t *asynq.Task, r queues.Result) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	// A result that can't be written costs a line in the web UI; the users have ended.
	if rw := t.ResultWriter(); rw != nil { // as of a task that asynq has not handed over
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

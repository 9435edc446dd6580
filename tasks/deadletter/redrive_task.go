package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// readable decodes a malformed task, which an older worker may have put here; reason says why
// that is no use.
func readable(m *Malformed) (p queues.Payload, reason string) {
	if m.Truncated() {
		return p, "its payload was too long to keep"
	}
	p, err := queues.Decode(m.Type, m.Payload)
	if err != nil {
		return p, strings.TrimPrefix(err.Error(), "tasks: ")
	}
	return p, ""
}

// enqueueOriginal puts a task back as it was. It keeps its version: what was asked for since
// still wins.
func (d *Queue) enqueueOriginal(ctx context.Context, p *tasks.Producer, m *Malformed, payload queues.Payload) error {
	q := ledger.Queue(m.Queue)
	if !q.Valid() {
		q = ledger.Bulk
	}
	task := asynq.NewTask(m.Type, m.Payload, append(queues.Options(payload.TaskID()),
		asynq.Queue(string(q)), asynq.Retention(tasks.DefaultRetention))...)
	_, err := asynq.NewClientFromRedisClient(d.rdb).EnqueueContext(ctx, task)
	if errors.Is(err, asynq.ErrTaskIDConflict) { // that part of the job is there
		return nil
	}
	return queues.Explain(err)
}

// RedriveTask is the handler for queues.DeadLetter: "run" in the web UI makes an entry pending,
// and the worker that consumes the queue redrives it. asynq deletes the entry when it returns
// nil. After an error the entry stays; use [RedriveDelay] for the time until the next try.
func (d *Queue) RedriveTask(ctx context.Context, p *tasks.Producer, t *asynq.Task) error {
	e, err := decodeDeadLetter(t.Type(), t.Payload())
	if err != nil {
		err = d.adoptStray(ctx, p, t, err)
	} else {
		err = d.redriveOne(ctx, p, e)
	}
	if err != nil {
		return fmt.Errorf("tasks: redrive: %w", err)
	}
	return nil
}

// adoptStray takes in a task that is no entry, and that somebody put into the queue: it goes
// where it belongs if it can be read, and else becomes an entry.
func (d *Queue) adoptStray(ctx context.Context, p *tasks.Producer, t *asynq.Task, reason error) error {
	id := ""
	if w := t.ResultWriter(); w != nil {
		id = w.TaskID()
	}
	e := NewMalformed(t.Type(), queues.DeadLetter, id, t.Payload(), reason)
	if payload, unreadable := readable(e.Malformed); unreadable == "" {
		return d.enqueueOriginal(ctx, p, e.Malformed, payload)
	}
	return d.put(ctx, []Letter{e})
}

func (d *Queue) redriveOne(ctx context.Context, p *tasks.Producer, e Letter) error {
	if m := e.Malformed; m != nil {
		payload, reason := readable(m)
		if reason != "" {
			return fmt.Errorf("%w: %s", ErrRefused, reason)
		}
		return d.enqueueOriginal(ctx, p, m, payload)
	}
	v, err := d.versionOf(ctx, e.PhoneNumberID, []Letter{e})
	if err != nil {
		return err
	}
	live, _, err := d.sift(ctx, e.PhoneNumberID, []Letter{e})
	if err != nil || len(live) == 0 {
		return err
	}
	_, err = d.enqueueAgain(ctx, p, group{e.PhoneNumberID, e.Operation}, live, v, "")
	return err
}

// redriveRetry is the time until an entry is tried again whose redriving failed, because of
// Redis most likely.
const redriveRetry = 5 * time.Second

// RedriveDelay is the RetryDelayFunc of an asynq server that consumes queues.DeadLetter: an entry
// that was refused rests again until 2099, with the reason on it.
func RedriveDelay(_ int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, ErrRefused) {
		return time.Until(restsUntil)
	}
	return redriveRetry
}

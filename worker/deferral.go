package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/queues"
)

// deferral is the error that hands a task back to asynq until later. It is no failure, so it
// uses up no retry, and its text is what the web UI shows.
type deferral struct {
	after time.Duration
	why   string
}

func (d *deferral) Error() string {
	return fmt.Sprintf("deferred for %v: %s", d.after.Round(100*time.Millisecond), d.why)
}

// isFailure tells asynq which errors count as retries. A worker that died is no fault of the
// task, and waiting is none of anybody's.
func isFailure(err error) bool {
	_, deferred := errors.AsType[*deferral](err)
	return !deferred && !errors.Is(err, asynq.ErrLeaseExpired)
}

// retryDelay tells asynq when to run a task again.
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

// giveBack returns err for asynq to retry the task by, unless that would archive it: asynq
// archives a task that has no retries left, even when the error is no failure, and drops what
// is archived. A task of ours never gets there; one that another program pushed may, and goes
// on as a task of ours.
func (w *Worker) giveBack(ctx context.Context, t *asynq.Task, err error) error {
	retried, ok1 := asynq.GetRetryCount(ctx)
	limit, ok2 := asynq.GetMaxRetry(ctx)
	queue, ok3 := asynq.GetQueueName(ctx)
	if !ok1 || !ok2 || !ok3 || retried < limit {
		return err
	}
	_, e := w.client.EnqueueContext(context.WithoutCancel(ctx), asynq.NewTask(t.Type(), t.Payload()),
		asynq.Queue(queue), asynq.ProcessIn(retryDelay(retried, err, t)), asynq.MaxRetry(queues.MaxRetry))
	if e != nil {
		return errors.Join(err, e)
	}
	return nil
}

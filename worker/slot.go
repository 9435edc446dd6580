package worker

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
)

// Slots runs tasks of queues.TypeReconcile; *reconcile.Scheduler is one.
type Slots interface {
	// ProcessTask runs one. With again above zero the task is to be tried again after that
	// time, for the reason given; an error means that it can't be read.
	ProcessTask(ctx context.Context, t *asynq.Task) (again time.Duration, why string, err error)
}

// runSlot runs the task of a schedule's slot.
func (w *Worker) runSlot(ctx context.Context, t *asynq.Task) error {
	if w.cfg.Slots == nil {
		return &deferral{after: spread(maxDeferral / 2), why: "this worker runs no schedules"}
	}
	again, why, err := w.cfg.Slots.ProcessTask(ctx, t)
	switch {
	case err != nil:
		return w.refuse(ctx, t, err)
	case again > 0:
		return &deferral{after: spread(again), why: why}
	}
	return nil
}

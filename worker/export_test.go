package worker

import (
	"context"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/worker/internal/lane"
)

// Problems names the phone number IDs among lanes whose calls the API refuses or fails.
func Problems(lanes []lane.Status) []string { return problems(lanes) }

// NewWithLanes is New for a worker that serves fewer phone number IDs at once.
func NewWithLanes(cfg Config, lanes int) (*Worker, error) { return newWorker(cfg, lanes) }

// RunLanes is Run without asynq's servers, which poll several times a second and would make a
// simulated week take an hour. It hands tasks over as asynq does: again when a deferral ends.
func (w *Worker) RunLanes(ctx context.Context, tasks ...*asynq.Task) {
	for _, t := range tasks {
		go func() {
			for ctx.Err() == nil {
				err := w.handler.ProcessTask(ctx, t)
				if err == nil {
					return
				}
				sleep(ctx, retryDelay(0, err, t))
			}
		}()
	}
	w.lanes.Run(ctx)
}

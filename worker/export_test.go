package worker

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
)

// RunLanes is Run without asynq's servers, which poll several times a second and would make a
// simulated week take an hour. It hands tasks over as asynq does: again when a deferral ends.
func (w *Worker) RunLanes(ctx context.Context, tasks ...*asynq.Task) {
	w.lanes.start(ctx, ctx, ctx)
	for _, t := range tasks {
		go func() {
			for ctx.Err() == nil {
				err := w.ProcessTask(ctx, t)
				if err == nil {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(retryDelay(0, err, t)):
				}
			}
		}()
	}
	<-ctx.Done()
	w.stopping.Store(true)
	w.lanes.wait()
}

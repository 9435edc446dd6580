package worker_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// later enqueues an unblock that is put off, and runs its task at once, as asynq's tools can.
func (w *world) later(delay time.Duration, jobID, number string) tasks.Job {
	w.t.Helper()
	job, err := w.producer.Unblock(w.t.Context(), []string{number}, tasks.WithDelay(delay), tasks.WithJobID(jobID))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := asynq.NewInspectorFromRedisClient(w.rdb).RunTask("interactive", jobID+":0"); err != nil {
		w.t.Fatal(err)
	}
	return job
}

func (w *world) task(id string) *asynq.TaskInfo {
	w.t.Helper()
	info, err := asynq.NewInspectorFromRedisClient(w.rdb).GetTaskInfo("interactive", id)
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

// TestDelayedTaskThatIsRunEarly must not take its version, which lies in the future, into the
// ledger: whatever is asked for until then would be superseded.
func TestDelayedTaskThatIsRunEarly(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const number = "+16505550001"
		w.later(7*24*time.Hour, "week", number)
		w.run()
		w.eventually("the task is put back", func() bool { return w.task("week:0").State == asynq.TaskStateRetry })
		if p := w.settled(w.enqueue(ledger.Block, number)); p.Succeeded != 1 {
			t.Errorf("a block after it: %+v", p)
		}
		info := w.task("week:0")
		// It looks again now and then: a clock that is wrong may be set right.
		if until := time.Until(info.NextProcessAt); info.Retried != 0 || until < time.Minute || until > time.Hour {
			t.Errorf("retried %d times, next in %v", info.Retried, until)
		}
		w.later(3*time.Second, "soon", number)
		w.eventually("what was put back is done when it is due", func() bool {
			return w.task("soon:0").State == asynq.TaskStateCompleted
		})
		if e := w.entry(number); e.State != ledger.Succeeded || e.Operation != ledger.Unblock || e.Version.Time().After(time.Now()) {
			t.Errorf("%v %v, early by %v", e.Operation, e.State, time.Until(e.Version.Time()))
		}
	})
}

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// TestVersionAhead: tasks of a version far ahead of the clock, put in by hand, do not outlast a newer request.
func TestVersionAhead(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		const number = "+16505550001"
		for _, more := range []string{"", `,"delayed":true,"due":1`} {
			body := fmt.Sprintf(`{"v":1,"job_id":"j","phone_number_id":%q,"version":4000000000000000,"part":0,"parts":1,"requested_at":%q,"users":[%q]%s}`,
				phoneNumberID, time.Now().UTC().Format(time.RFC3339Nano), number, more)
			if _, err := asynq.NewClientFromRedisClient(w.rdb).EnqueueContext(t.Context(), asynq.NewTask(queues.TypeBlock, []byte(body)), asynq.Queue("interactive")); err != nil {
				t.Fatal(err)
			}
		}
		w.run()
		w.eventually("the tasks are dead letters", func() bool {
			n, err := letters(t, w.dead)
			return n == 2 || err != nil
		})
		if p := w.settled(w.enqueue(ledger.Unblock, number)); p.Succeeded != 1 || len(w.sim.Snapshot(phoneNumberID)) != 0 {
			t.Errorf("the newer request: %+v, %+v", p, w.entry(number))
		}
	})
}

package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestPause: the last call of two workers starts within a second of a pause, of one phone number ID or of all, also
// where calls are being split, and nothing is lost.
func TestPause(t *testing.T) {
	t.Parallel()
	for scope, id := range map[string]string{"one": phoneNumberID, "all": ""} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				w := newWorld(t, rdb, simulator.Scenario{})
				w.cfg.Limiter = redislimit.New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 100, Burst: 1, MaxUsers: 2} })
				numbers := make([]string, 400)
				for i := range numbers {
					numbers[i] = fmt.Sprintf("+1650555%04d", i)
				}
				w.run()
				w.run()
				job := w.enqueue(ledger.Block, numbers...)
				w.eventually("calls go", func() bool { return len(w.sim.Journal()) > 5 })
				if _, err := pause.Set(t.Context(), rdb, pause.Request{PhoneNumberID: id, Reason: "wrong file"}); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				calls := len(w.sim.Journal())
				<-time.After(700 * time.Millisecond)
				if now := len(w.sim.Journal()); now != calls {
					t.Errorf("%d calls a second after the pause", now-calls)
				}
				if p := progress(w, job); p.Pending == 0 {
					t.Fatal("the job ended before the pause: it shows nothing")
				}
				if _, err := pause.Clear(t.Context(), rdb, id, ""); err != nil {
					t.Fatal(err)
				}
				w.eventually("all are blocked", func() bool { return progress(w, job).Succeeded == len(numbers) })
			})
		})
	}
}

func progress(w *world, job tasks.Job) tasks.Progress {
	w.t.Helper()
	p, err := w.producer.Progress(w.t.Context(), phoneNumberID, job.Version, job.Users)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

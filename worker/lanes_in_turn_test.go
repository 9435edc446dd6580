package worker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// TestLanesInTurn: IDs whose users fail one by one, five times as many as there are lanes, do not keep a healthy one waiting.
func TestLanesInTurn(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
		odd := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
			nameAll(c, 139103)
			return true
		}}
		b.world.options = []client.Option{client.WithTransport(inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/10") {
				odd.ServeHTTP(w, r)
				return
			}
			b.sim.ServeHTTP(w, r)
		})})}
		b.cfg.Logger = nil
		w, err := worker.NewWithLanes(b.cfg, 4)
		if err != nil {
			t.Fatal(err)
		}
		defer b.start(w)()
		ask := func(id string, i int) tasks.Job {
			job, err := b.producer.Block(t.Context(), []string{fmt.Sprintf("+1650556%04d", i)}, tasks.WithPhoneNumberID(id))
			if err != nil {
				t.Fatal(err)
			}
			return job
		}
		for i := range redistest.Rounds(t, 4, 12) {
			for id := range 20 {
				ask(fmt.Sprint(1000+id), i)
			}
			if i > 2 { // each place is kept for as long as tasks are followed, and idle for a second: five turns of that
				b.succeedWithin(ask("2001", i), 35*time.Second)
			}
			<-time.After(2 * time.Second)
		}
	})
}

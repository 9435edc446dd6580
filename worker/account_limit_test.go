package worker_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// TestAccountLimitOfOneNumber: every call of one phone number ID is limited for the account, with others' served. The first
// pauses are kept to; those after that are the phone number ID's own.
func TestAccountLimitOfOneNumber(t *testing.T) {
	t.Parallel()
	const other = "106540352242923"
	for name, after := range map[string]string{"no pause": "", "30 s": "30"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
				b.world.options = []client.Option{client.WithTransport(inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v25.0/"+phoneNumberID+"/block_users" {
						b.sim.ServeHTTP(w, r)
						return
					}
					if after != "" {
						w.Header().Set("Retry-After", after)
					}
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(400)
					_, _ = w.Write([]byte(`{"error":{"code":80007,"message":"m"}}`))
				})})}
				b.cfg.Logger = nil
				b.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
					n, ok := b.resolve(id)
					n.Account = "102290129340398"
					return n, ok
				}
				defer b.run()()
				b.enqueue(ledger.Block, numbersFrom(0, 20)...)
				var waits []time.Duration
				for i := range redistest.Rounds(t, 12, 40) {
					began := time.Now()
					job, err := b.producer.Block(t.Context(), []string{fmt.Sprintf("+1650556%04d", i)}, tasks.WithPhoneNumberID(other))
					if err != nil {
						t.Fatal(err)
					}
					if !b.succeedWithin(job, 10*time.Minute) {
						return
					}
					waits = append(waits, time.Since(began).Round(time.Second))
					<-time.After(5 * time.Second)
				}
				t.Log(waits)
				var last time.Duration // the first pauses are the account's, and its pace comes back slowly
				for _, d := range waits[len(waits)-6:] {
					last += d
				}
				if last > 45*time.Second {
					t.Errorf("the last six requests of the other phone number ID waited for %v together", last)
				}
			})
		})
	}
}

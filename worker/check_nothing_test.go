package worker_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// answerAll answers all calls so, those of users in users and listings in list, where they are set.
type answerAll struct {
	sim         http.Handler
	odd         atomic.Bool
	users, list func(w http.ResponseWriter)
	n, listed   atomic.Int64
}

func (a *answerAll) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		a.listed.Add(1)
		if a.odd.Load() && a.list != nil {
			a.list(w)
			return
		}
	} else {
		a.n.Add(1)
		if a.odd.Load() && a.users != nil {
			a.users(w)
			return
		}
	}
	a.sim.ServeHTTP(w, r)
}

func jsonAnswer(status int, body string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// TestCheckThatTellsNothing: every call fails as a whole with a code that is final for a user, and the list call, which is to
// tell whose fault it is, fails in a way that tells nothing. That is an outage.
func TestCheckThatTellsNothing(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func(w http.ResponseWriter){
		"139102": jsonAnswer(400, `{"error":{"code":139102,"message":"m"}}`),
		"{}":     jsonAnswer(200, `{}`),
		"429":    jsonAnswer(429, ``),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
				api := &answerAll{sim: b.sim, users: jsonAnswer(400, `{"error":{"code":100,"message":"m"}}`), list: list}
				b.world.options = []client.Option{client.WithTransport(inProcess{api})}
				b.cfg.Logger = nil
				w, stop := b.runReady()
				defer stop()
				api.odd.Store(true)
				b.enqueue(ledger.Block, numbersFrom(0, 100)...)
				<-time.After(time.Minute)
				n, l := api.n.Load(), api.listed.Load()
				t.Logf("%d calls, %d list calls in a minute, ready: %v", n, l, w.Ready(t.Context()))
				if n+l > 60 {
					t.Error("it spins")
				}
				if w.Ready(t.Context()) == nil {
					t.Error("the worker is ready")
				}
				if d := b.deadLetters(); d > 0 {
					t.Errorf("%d dead letters", d)
				}
			})
		})
	}
}

package worker_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestNothingIsServed: list calls are served, and no call with users is: all fail with a code that is final for a user, or
// with such a one and others by turns. That is an outage of writes, in which none of many users is dead-lettered.
func TestNothingIsServed(t *testing.T) {
	t.Parallel()
	one := func(n int) func(w http.ResponseWriter) {
		return jsonAnswer(400, fmt.Sprintf(`{"error":{"code":%d,"message":"m"}}`, n))
	}
	turns := func(codes ...int) func(w http.ResponseWriter) {
		var turn atomic.Int64
		return func(w http.ResponseWriter) { one(codes[turn.Add(1)%int64(len(codes))])(w) }
	}
	cases := map[string]func(w http.ResponseWriter){
		"100": one(100), "131008": one(131008), "131009": one(131009), "131021": one(131021), "33": one(33),
		"131000 and 100": turns(131000, 100), "several": turns(131000, 100, 190, 139102),
	}
	names := slices.Sorted(maps.Keys(cases))
	if redistest.Rounds(t, 1, 2) == 1 {
		names = []string{"100", "131000 and 100"}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
				api := &answerAll{sim: b.sim, users: cases[name]}
				b.world.options = []client.Option{client.WithTransport(inProcess{api})}
				b.cfg.Logger = nil
				w, stop := b.runReady()
				defer stop()
				if !b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(1000, 3)...), time.Minute) {
					return
				}
				api.odd.Store(true)
				job := b.enqueue(ledger.Block, numbersFrom(0, 300)...)
				<-time.After(3 * time.Minute)
				t.Logf("%d calls, ready: %v", api.n.Load(), w.Ready(t.Context()))
				if n := b.deadLetters(); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				if n := api.n.Load(); n > 150 {
					t.Errorf("%d calls", n)
				}
				if w.Ready(t.Context()) == nil {
					t.Error("the worker is ready")
				}
				api.odd.Store(false)
				b.succeedWithin(job, 2*time.Minute) // the last are those of the trials
			})
		})
	}
}

// TestUsersAtFaultAmongThemselves: users at fault with none served beside them are dead-lettered if they are few. More
// wait, as in an outage, until others are served.
func TestUsersAtFaultAmongThemselves(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			bad := numbersFrom(0, n)
			sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 131009, Users: bad}}}
			inBubble(t, sc, func(t *testing.T, b *bubble) {
				b.cfg.Logger = nil
				w, stop := b.runReady()
				defer stop()
				b.enqueue(ledger.Block, bad...)
				<-time.After(time.Minute)
				if n <= 3 {
					if d := b.deadLetters(); d != n || w.Ready(t.Context()) != nil {
						t.Errorf("%d dead letters, ready: %v", d, w.Ready(t.Context()))
					}
					return
				}
				if d := b.deadLetters(); d > 0 || w.Ready(t.Context()) == nil {
					t.Errorf("%d dead letters, ready: %v", d, w.Ready(t.Context()))
				}
				start := time.Now()
				for i := 0; b.deadLetters() < n && time.Since(start) < 10*time.Minute; i++ {
					b.succeedWithin(b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i)), time.Minute)
					<-time.After(5 * time.Second)
				}
				t.Logf("%d dead letters %v after others came", b.deadLetters(), time.Since(start))
				if d := b.deadLetters(); d != n {
					t.Errorf("%d dead letters", d)
				}
			})
		})
	}
}

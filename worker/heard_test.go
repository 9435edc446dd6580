package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/internal/lane"
)

// answered does something between the API's first answer to a block and its arrival.
type answered struct {
	lane.API
	once sync.Once
	then func(ctx context.Context)
}

func (a *answered) Block(ctx context.Context, id string, users []user.ID) (*client.Result, error) {
	res, err := a.API.Block(ctx, id, users)
	a.once.Do(func() { a.then(ctx) })
	return res, err
}

// TestHeardDuringTheCall: a user who writes while the call is under way that refuses their block is asked for again,
// although the message was told of before the refusal; one who was refused and did not write is left, and so is one
// who wrote for a reason other than the window.
func TestHeardDuringTheCall(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const wrote, silent, own, byID = "+16505551234", "+16505551235", "+16505551236", "+16505551237"
		w := newWorld(t, rdb, simulator.Scenario{
			UserIDs: true, Window: simulator.Window{SilentShare: 1}, PhoneNumbers: []simulator.PhoneNumber{{ID: phoneNumberID, Own: own}},
		})
		resolve := w.cfg.Resolve
		api := &answered{then: func(ctx context.Context) {
			for _, u := range []string{wrote, byID} {
				if err := w.sim.UserWrote(phoneNumberID, u, time.Time{}); err != nil {
					t.Error(err)
				}
			}
			now := time.Now().Truncate(time.Second)
			r, err := w.producer.Heard(ctx, tasks.HeardEvent{User: wrote, At: now}, tasks.HeardEvent{User: own, At: now},
				tasks.HeardEvent{WaID: byID[1:], UserID: "US.716505551237", At: now})
			if err != nil || r.Accepted != 3 || r.Revived != 0 {
				t.Errorf("heard during the call: %+v, %v", r, err)
			}
		}}
		w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
			n, ok := resolve(id)
			api.API, n.API = n.API, api
			return n, ok
		}
		w.enqueue(ledger.Block, wrote, silent, own, "US.716505551237")
		w.run()
		w.eventually("those who wrote are blocked", func() bool {
			return w.entry(wrote).State == ledger.Succeeded && w.entry(byID).State == ledger.Succeeded
		})
		for u, code := range map[string]int{silent: 131047, own: 131021} {
			if e := w.entry(u); e.State != ledger.Dead || e.Failure.Code != code {
				t.Errorf("%s: %+v", u[:3], e)
			}
		}
		calls := 0
		for _, c := range w.sim.Journal() {
			if c.Operation == simulator.Block {
				calls++
			}
		}
		if s, err := w.producer.Status(t.Context(), wrote); err != nil || s.Text.By != "heard" || calls > 3 {
			t.Errorf("asked for by %q, %v, in %d calls", s.Text.By, err, calls)
		}
	})
}

// TestClosingWindowsGoFirst: of a bulk job that is ten calls long those users go first who can be blocked for an hour more,
// under whichever spelling they wrote; who wrote just now keeps the place.
func TestClosingWindowsGoFirst(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const closing, brazil, fresh = "+16505550098", "+5511987654321", "+16505550099"
		w := newWorld(t, rdb, simulator.Scenario{})
		w.cfg.Limiter = redislimit.New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 100, Burst: 1, MaxUsers: 10} })
		now := time.Now()
		r, err := w.producer.Heard(t.Context(), tasks.HeardEvent{User: closing, At: now.Add(-23 * time.Hour)},
			tasks.HeardEvent{WaID: "551187654321", At: now.Add(-23 * time.Hour)}, tasks.HeardEvent{User: fresh, At: now})
		if err != nil || r.Accepted != 3 {
			t.Fatal(r, err)
		}
		job, err := w.producer.Block(t.Context(), append(numbersFrom(0, 97), closing, brazil, fresh), tasks.WithQueue(ledger.Bulk))
		if err != nil {
			t.Fatal(err)
		}
		w.run()
		w.eventually("all are blocked", func() bool { return progress(w, job).Succeeded == 100 })
		at := map[string]int{}
		for i, c := range w.sim.Journal() {
			for _, u := range c.Users {
				at[u.User] = i
			}
		}
		first := at[closing]
		if at[brazil] != first || at[fresh] == first || len(w.sim.Journal()) < 10 {
			t.Errorf("in the calls %d, %d and %d of %d", at[closing], at[brazil], at[fresh], len(w.sim.Journal()))
		}
		for u, i := range at {
			if i < first {
				t.Fatalf("%s goes before", u[:5])
			}
		}
	})
}

package worker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// wrote notes when a user wrote, also before the time from which messages have an effect.
func (w *world) wrote(number string, ago time.Duration) {
	w.t.Helper()
	now, err := w.rdb.Time(w.t.Context()).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	z := redis.Z{Score: float64(now.Add(-ago).UnixMilli()), Member: user.Fold(number)}
	if err := w.rdb.ZAdd(w.t.Context(), "wablock:{"+phoneNumberID+"}:heard", z).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) id(name string) user.ID {
	w.t.Helper()
	id, err := user.FromCanonical(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// called counts the calls of an operation that named a user.
func (w *world) called(op simulator.Operation, number string) (calls int) {
	for _, c := range w.sim.Journal() {
		for _, u := range c.Users {
			if c.Operation == op && u.User == number {
				calls++
			}
		}
	}
	return calls
}

// TestClosedWindowsAreParked: with the setting no call is made for users who are known to have written last before yesterday;
// the others are called for, and so is one whose person wrote under another name. A parked user is blocked as soon as it is
// known that they have written, be it before they were parked; a redrive goes out, and so does what a reaction brings back.
func TestClosedWindowsAreParked(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		const silent, standing, redriven, fresh, unknown, other, reacts = "+16505551234", "+16505551235", "+16505551236", "+16505551237", "+16505551238", "+16505551239", "+16505551240"
		w := newWorld(t, rdb, simulator.Scenario{UserIDs: true, Window: simulator.Window{SilentShare: 1}})
		w.cfg.ParkClosedWindows = true
		for _, u := range []string{fresh, other} {
			if err := w.sim.UserWrote(phoneNumberID, u, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.producer.Learn(t.Context(), phoneNumberID, tasks.Told{WaID: other[1:], Name: w.id("US.716505551239"), At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		for u, ago := range map[string]time.Duration{
			silent: 30 * time.Hour, standing: 6 * 24 * time.Hour, redriven: 25 * time.Hour, reacts: 25 * time.Hour, fresh: time.Minute,
			other: 30 * time.Hour, "US.716505551239": time.Hour,
		} {
			w.wrote(u, ago)
		}
		job := w.enqueue(ledger.Block, silent, redriven, reacts, fresh, unknown, other)
		if _, err := w.producer.Block(t.Context(), []string{standing}, tasks.WithStanding()); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.eventually("all have ended", func() bool { return progress(w, job).Pending == 0 && w.entry(standing).State == ledger.Dead })
		for u, calls := range map[string]int{silent: 0, standing: 0, redriven: 0, reacts: 0, fresh: 1, unknown: 1, other: 1} {
			if n := w.called(simulator.Block, u); n != calls {
				t.Errorf("…%s is in %d calls, want %d", u[8:], n, calls)
			}
			e := w.entry(u)
			if f := e.Failure; calls == 0 && (e.State != ledger.Dead || f.Code != tasks.CodeWindow || !f.Parked || !strings.Contains(f.Details, "no call was made: the user wrote last on ")) {
				t.Errorf("…%s: %+v, %+v", u[8:], e.State, f)
			}
		}
		if e := w.entry(unknown); e.State != ledger.Dead || e.Failure.Parked {
			t.Errorf("a user without a time: %v, %+v", e.State, e.Failure)
		}

		redrive := deadletter.Filter{PhoneNumberID: phoneNumberID, Users: []user.ID{w.id(redriven)}}
		if r, err := deadletter.Redrive(t.Context(), w.dead, w.producer, redrive, deadletter.RedriveOptions{}); err != nil || r.Redriven != 1 {
			t.Fatal(r, err)
		}
		w.eventually("the redrive goes out", func() bool { return w.called(simulator.Block, redriven) == 1 })
		w.eventually("and is refused", func() bool { e := w.entry(redriven); return e.State == ledger.Dead && !e.Failure.Parked })

		if r, err := w.producer.Heard(t.Context(), tasks.HeardEvent{User: reacts, At: time.Now(), Weak: true}); err != nil || r.Revived != 1 {
			t.Errorf("heard of a reaction: %+v, %v", r, err)
		}
		w.eventually("a reaction brings a call", func() bool { return w.called(simulator.Block, reacts) == 1 })

		// They wrote an hour ago, which is told of late.
		for _, u := range []string{silent, standing} {
			if err := w.sim.UserWrote(phoneNumberID, u, time.Time{}); err != nil {
				t.Fatal(err)
			}
			r, err := w.producer.Heard(t.Context(), tasks.HeardEvent{User: u, At: time.Now().Add(-time.Hour)})
			if err != nil || r.Revived != 1 {
				t.Errorf("heard of …%s: %+v, %v", u[8:], r, err)
			}
			w.eventually("who wrote is blocked", func() bool { return w.entry(u).State == ledger.Succeeded })
		}

		w.wrote(silent, 30*time.Hour)
		undo := w.enqueue(ledger.Unblock, silent)
		w.eventually("an unblock is never parked", func() bool { return progress(w, undo).Succeeded == 1 })
	})
}

// TestParkingIsOff: without the setting, without webhooks that arrive, and where Redis does not tell, there is a call.
func TestParkingIsOff(t *testing.T) {
	t.Parallel()
	const silent, fresh = "+16505551234", "+16505551237"
	for name, c := range map[string]struct {
		on, arrive, fails bool
		calls             int
	}{
		"on":                  {on: true, arrive: true, calls: 0},
		"off":                 {arrive: true, calls: 1},
		"no webhook arrives":  {on: true, calls: 1},
		"Redis does not tell": {on: true, arrive: true, fails: true, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			w := newWorld(t, rdb, simulator.Scenario{Window: simulator.Window{SilentShare: 1}})
			w.cfg.ParkClosedWindows = c.on
			w.wrote(silent, 30*time.Hour)
			if c.arrive {
				w.wrote(fresh, time.Hour)
			}
			if c.fails {
				rdb.AddHook(deafHook{})
			}
			job := w.enqueue(ledger.Block, silent)
			w.run()
			w.eventually("it has ended", func() bool { return progress(w, job).DeadLettered == 1 })
			if n := w.called(simulator.Block, silent); n != c.calls {
				t.Errorf("%d calls, want %d", n, c.calls)
			}
		})
	}
}

// deafHook fails each reading of when users wrote.
type deafHook struct{}

func (deafHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (deafHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (deafHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "zmscore" }) {
			return errors.New("no connection to Redis")
		}
		return next(ctx, cmds)
	}
}

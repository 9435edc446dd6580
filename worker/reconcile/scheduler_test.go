package reconcile_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/source"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err) // a test's own time
	}
	return t
}

// clock is a time that several workers see, each a little differently.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) off(by time.Duration) func(context.Context) (time.Time, error) {
	return func(context.Context) (time.Time, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now.Add(by), nil
	}
}

func (w *world) scheduler(now func(context.Context) (time.Time, error), schedule string) *reconcile.Scheduler {
	w.t.Helper()
	s, err := reconcile.NewScheduler(w.newRunner(now), noMetrics{}, []reconcile.Scheduled{{Target: w.target(fixed(nums(0, 1))), Schedule: schedule}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// noMetrics discards what it is shown.
type noMetrics struct{}

func (noMetrics) Reconciled(reconcile.Record)         {}
func (noMetrics) Standing(string, reconcile.Standing) {}
func (noMetrics) Kept(string, int, int)               {}

// standings records what the metrics are shown.
type standings struct {
	noMetrics
	last reconcile.Standing
}

func (s *standings) Standing(_ string, to reconcile.Standing) { s.last = to }

// TestStanding: a schedule that never succeeded is overdue after two slots, and a run that fails
// leaves what the last plan found.
func TestStanding(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		c := &clock{now: time.Now().Truncate(24 * time.Hour).Add(12 * time.Hour)}
		look := func(s source.Source) reconcile.Standing {
			t.Helper()
			m := &standings{}
			scheduler, err := reconcile.NewScheduler(w.newRunner(c.off(0)), m, []reconcile.Scheduled{{Target: w.target(s), Schedule: "0 3 * * *"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := scheduler.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			return m.last
		}
		users := fixed(nums(0, 3))
		if s := look(users); !s.Good.EndedAt.IsZero() || !s.Last.EndedAt.IsZero() || s.Overdue.Sub(c.now) != 39*time.Hour {
			t.Errorf("before the first run: %+v", s)
		}
		w.run(w.target(users), reconcile.Options{Apply: true})
		if s := look(users); s.Good.EndedAt.IsZero() || s.Planned.ToBlock != 3 || !s.Overdue.After(s.Good.EndedAt.Add(24*time.Hour)) {
			t.Errorf("after a run: %+v", s)
		}
		gone := source.File("/nowhere/list.csv", numbers.Options{})
		if _, err := w.runner.Run(t.Context(), w.target(gone), reconcile.Options{Apply: true}); err == nil {
			t.Fatal("a source that does not exist is no error")
		}
		if s := look(gone); s.Last.Error == "" || s.Planned.ToBlock != 3 || s.Good.EndedAt.IsZero() {
			t.Errorf("after a run that failed: %+v", s)
		}
	})
}

// slots returns the tasks that wait, and takes them.
func (w *world) slots() []*asynq.TaskInfo {
	w.t.Helper()
	i := asynq.NewInspectorFromRedisClient(w.rdb)
	infos, err := i.ListPendingTasks("reconcile", asynq.PageSize(1000))
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(infos, func(a, b *asynq.TaskInfo) int { return strings.Compare(a.ID, b.ID) })
	return infos
}

// TestEachSlotOnce lets five workers with clocks five seconds apart live through fifty minutes of a
// schedule by the minute, some of them stopping and starting again.
func TestEachSlotOnce(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		c := &clock{now: at("2026-11-22T12:00:30Z")}
		rnd := rand.New(rand.NewPCG(1, 2))
		var workers []*reconcile.Scheduler
		for i := range 5 {
			workers = append(workers, w.scheduler(c.off(time.Duration(i)*5*time.Second), "* * * * *"))
		}
		for range 6 * 50 {
			c.add(10 * time.Second)
			for _, i := range rnd.Perm(5) {
				if rnd.IntN(4) == 0 {
					continue // dead for the moment
				}
				if err := workers[i].Look(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		infos := w.slots()
		if n := len(infos); n < 49 || n > 51 {
			t.Errorf("%d tasks for fifty minutes", n)
		}
		for _, i := range rnd.Perm(len(infos)) { // a slot whose worker died comes late
			info := infos[i]
			task := asynq.NewTask(info.Type, info.Payload)
			for range 2 { // asynq delivers twice what it is not sure of
				if again, why, err := workers[rnd.IntN(5)].ProcessTask(t.Context(), task); again > 0 || err != nil {
					t.Fatalf("again in %v: %s, %v", again, why, err)
				}
			}
		}
		runs, err := reconcile.History(t.Context(), w.rdb, phoneNumberID, 1000)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[time.Time]bool{}
		for _, r := range runs {
			if seen[r.Slot] || r.Trigger != reconcile.BySchedule || !r.Good() {
				t.Errorf("%+v", r)
			}
			seen[r.Slot] = true
		}
		if len(seen) != len(infos) {
			t.Errorf("%d of %d slots ran", len(seen), len(infos))
		}
	})
}

func TestMissedSlots(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		c := &clock{now: at("2026-11-22T12:00:30Z")}
		look := func(s *reconcile.Scheduler) {
			t.Helper()
			if err := s.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		look(w.scheduler(c.off(0), "0 3 * * *"))
		if n := len(w.slots()); n != 0 {
			t.Errorf("a new schedule begins with %d runs", n)
		}
		c.add(72 * time.Hour)
		look(w.scheduler(c.off(0), "0 3 * * *")) // after a restart
		look(w.scheduler(c.off(0), "0 3 * * *"))
		infos := w.slots()
		if len(infos) != 1 {
			t.Fatalf("%d runs for three missed slots, want one", len(infos))
		}
		if want := "reconcile:" + phoneNumberID + ":2026-11-25T03:00:00Z"; infos[0].ID != want {
			t.Errorf("%s, want %s", infos[0].ID, want)
		}
	})
}

func TestSlotTasks(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		s := w.scheduler(nil, "")
		for name, payload := range map[string]string{
			"no JSON": "{", "a newer format": `{"v":9,"phone_number_id":"1","kind":"keep","slot":1}`,
			"no slot": `{"v":1,"phone_number_id":"1","kind":"keep"}`, "no kind": `{"v":1,"phone_number_id":"1","slot":1}`,
			"no phone number ID": `{"v":1,"phone_number_id":"x","kind":"keep","slot":1}`,
		} {
			if _, _, err := s.ProcessTask(t.Context(), asynq.NewTask(queues.TypeReconcile, []byte(payload))); !errors.Is(err, queues.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		unknown := asynq.NewTask(queues.TypeReconcile, []byte(`{"v":1,"phone_number_id":"7","kind":"keep","slot":99999999999}`))
		if again, _, err := s.ProcessTask(t.Context(), unknown); again == 0 || err != nil {
			t.Errorf("a phone number ID of other workers: %v, %v", again, err)
		}
		forgotten := asynq.NewTask(queues.TypeReconcile, []byte(`{"v":1,"phone_number_id":"7","kind":"keep","slot":1}`))
		if again, _, err := s.ProcessTask(t.Context(), forgotten); again != 0 || err != nil {
			t.Errorf("a phone number ID that no worker knows: %v, %v", again, err)
		}
		keep := asynq.NewTask(queues.TypeReconcile, []byte(`{"v":1,"phone_number_id":"`+phoneNumberID+`","kind":"keep","slot":99999999999}`))
		if again, why, err := s.ProcessTask(t.Context(), keep); again != 0 || err != nil {
			t.Errorf("housekeeping: %v, %s, %v", again, why, err)
		}
		run := asynq.NewTask(queues.TypeReconcile, []byte(`{"v":1,"phone_number_id":"`+phoneNumberID+`","kind":"reconcile","slot":99999999999}`))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if again, _, err := s.ProcessTask(ctx, run); again == 0 || err != nil {
			t.Errorf("a worker that stops gives a slot back: %v, %v", again, err)
		}
		if again, why, err := s.ProcessTask(t.Context(), run); again != 0 || err != nil {
			t.Errorf("and another runs it: %v, %s, %v", again, why, err)
		}
	})
}

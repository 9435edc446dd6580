package worker_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
)

// TestUnreadableTasks: what is too large, or comes from a newer version, ends among the
// dead letters with the reason, and what fits of its payload.
func TestUnreadableTasks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		payload []byte
		reason  string
	}{
		"10 MB": {bytes.Repeat([]byte("x"), 10<<20), "10240 KB, where 1024 is the most"},
		"10 MB of users": {
			[]byte(`{"v":1,"users":["` + strings.Repeat(`+16505550001","`, 700_000) + `"]}`), "KB, where 1024 is the most",
		},
		"a newer version": {[]byte(`{"v":2,"users":{"of":"another shape"}}`), "newer"},
	}
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		c := asynq.NewClientFromRedisClient(w.rdb)
		for name, tc := range cases {
			task := asynq.NewTask(queues.TypeBlock, tc.payload)
			if _, err := c.EnqueueContext(t.Context(), task, asynq.Queue("bulk"), asynq.TaskID(strings.ReplaceAll(name, " ", "-"))); err != nil {
				t.Fatal(err)
			}
		}
		w.run()
		found := map[string]*deadletter.Malformed{}
		w.eventually("all are in the dead-letter queue", func() bool {
			for d, err := range w.dead.All(t.Context(), deadletter.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				found[strings.ReplaceAll(d.Malformed.TaskID, "-", " ")] = d.Malformed
			}
			return len(found) == len(cases)
		})
		for name, tc := range cases {
			m := found[name]
			if m == nil || !strings.Contains(m.Reason, tc.reason) || m.Size != len(tc.payload) || len(m.Payload) > 1<<20 {
				t.Errorf("%s: %+v", name, m)
				continue
			}
			t.Logf("%s: %s", name, m.Reason)
		}
		if p := w.settled(w.enqueue("block", "+16505550001")); p.Succeeded != 1 {
			t.Errorf("after that: %+v", p)
		}
	})
}

// TestTenThousandPhoneNumbers gives one worker a user to block on each of 10,000 phone numbers, of which 2,000 are halted,
// five times as many as it serves at once; everyday runs have a tenth of both.
func TestTenThousandPhoneNumbers(t *testing.T) {
	t.Parallel()
	n := redistest.Rounds(t, 1_000, 10_000)
	id := func(i int) string { return fmt.Sprint(1_000_000 + i) }
	var halted []string
	for i := 0; i < n; i += 5 {
		halted = append(halted, id(i))
	}
	w := newWorld(t, redistest.Real(t), simulator.Scenario{
		MaxPhoneNumbers: n, Journal: simulator.JournalLimits{Calls: 20 * n, Users: 20 * n},
		Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 190, PhoneNumberIDs: halted}},
	})
	w.cfg.Logger = nil
	w.cfg.Concurrency = 200
	w.cfg.Resolve = manyNumbers(t, w)
	u, err := user.Parse("+16505550001")
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(50)
	for i := range n {
		g.Go(func() error {
			_, err := w.producer.Enqueue(t.Context(), tasks.Request{Operation: "block", Users: []user.ID{u}, PhoneNumberID: id(i)})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	start, peak := time.Now(), 0
	wk, err := worker.NewWithLanes(w.cfg, n/5)
	if err != nil {
		t.Fatal(err)
	}
	w.start(wk)
	deadline := time.After(4 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for served := 0; served < n-len(halted); {
		select {
		case <-deadline:
			t.Fatalf("%d of %d phone numbers have had their call after %v", served, n-len(halted), time.Since(start))
		case <-tick.C:
		}
		served = 0
		for _, c := range w.sim.Journal() {
			if c.Operation == simulator.Block && c.Fault == "" {
				served++
			}
		}
		peak = max(peak, runtime.NumGoroutine())
	}
	t.Logf("%d phone numbers beside %d that are halted in %v, %d goroutines at the most", n-len(halted), len(halted), time.Since(start).Round(time.Second), peak)
}

// manyNumbers serves every phone number with one client.
func manyNumbers(t *testing.T, w *world) func(string) (worker.PhoneNumber, bool) {
	t.Helper()
	one, _ := w.resolve(phoneNumberID)
	return func(id string) (worker.PhoneNumber, bool) {
		p := one
		p.ID = id
		return p, true
	}
}

package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
)

const (
	phoneNumberID = "106540352242922"
	token         = "EAAJB-test"
)

// world is a simulated API, a Redis and a producer, for workers to be run in.
type world struct {
	t        *testing.T
	rdb      redis.UniversalClient
	sim      *simulator.Simulator
	url      string
	options  []client.Option // of what calls url
	token    *secret.Source
	producer *tasks.Producer
	dead     *deadletter.Queue
	cfg      worker.Config
}

func newWorld(t *testing.T, rdb redis.UniversalClient, sc simulator.Scenario) *world {
	t.Helper()
	sim, err := simulator.New(simulator.Config{Scenario: sc})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	return worldOf(t, rdb, sim, srv.URL)
}

// worldOf returns a world whose simulated API answers at url.
func worldOf(t *testing.T, rdb redis.UniversalClient, sim *simulator.Simulator, url string, options ...client.Option) *world {
	t.Helper()
	w := &world{
		t: t, rdb: rdb, sim: sim, url: url, options: options, token: secret.Static(secret.New(token)), dead: deadletter.New(rdb),
	}
	var err error
	if w.producer, err = tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID}); err != nil {
		t.Fatal(err)
	}
	w.cfg = worker.Config{
		Redis:      rdb,
		Resolve:    w.resolve,
		Limiter:    redislimit.New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 1000, Burst: 100} }),
		RetryDelay: 10 * time.Millisecond,
		Poll:       100 * time.Millisecond,
		Logger:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return w
}

func (w *world) resolve(id string) (worker.PhoneNumber, bool) {
	c, err := client.New(w.url, "v25.0", w.token, w.options...)
	if err != nil {
		w.t.Error(err)
		return worker.PhoneNumber{}, false
	}
	return worker.PhoneNumber{ID: id, API: c, Token: w.token, Listed: true}, id == phoneNumberID
}

// run starts a new worker, and returns what stops it.
func (w *world) run() (stop func()) {
	w.t.Helper()
	wk, err := worker.New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.start(wk)
}

// start runs a worker, and returns what stops it.
func (w *world) start(wk *worker.Worker) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- wk.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) enqueue(op ledger.Operation, numbers ...string) tasks.Job {
	w.t.Helper()
	do := w.producer.Block
	if op == ledger.Unblock {
		do = w.producer.Unblock
	}
	job, err := do(w.t.Context(), numbers)
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// eventually waits until ok holds, and fails the test after a while.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			w.t.Fatalf("it never came to be that %s", what)
		case <-tick.C:
		}
	}
}

func (w *world) settled(job tasks.Job) tasks.Progress {
	w.t.Helper()
	var p tasks.Progress
	w.eventually("the job is settled", func() bool {
		var err error
		if p, err = w.producer.Progress(w.t.Context(), job.PhoneNumberID, job.Version, job.Users); err != nil {
			w.t.Fatal(err)
		}
		return p.Pending == 0
	})
	return p
}

func (w *world) entry(number string) ledger.Entry {
	w.t.Helper()
	id, err := user.Parse(number)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := ledger.New(w.rdb, phoneNumberID).Entries(w.t.Context(), []user.ID{id})
	if err != nil {
		w.t.Fatal(err)
	}
	return e[0]
}

func numbersFrom(first, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("+1650555%04d", first+i)
	}
	return out
}

func waIDs(numbers []string) []string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		out[i] = n[1:]
	}
	return out
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func each(t *testing.T, sc simulator.Scenario, body func(t *testing.T, w *world)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { body(t, newWorld(t, rdb, sc)) })
}

// eachInTime runs a body that waits for seconds on simulated time; the long form runs it as each does
// as well.
func eachInTime(t *testing.T, sc simulator.Scenario, body func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("simulated", func(t *testing.T) {
		t.Parallel()
		inBubble(t, sc, func(t *testing.T, b *bubble) {
			body(t, worldOf(t, b.rdb, b.sim, b.url, b.options...))
		})
	})
	if redistest.Rounds(t, 0, 1) == 1 {
		each(t, sc, body)
	}
}

func TestBlockThenUnblock(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.run()
		numbers := numbersFrom(0, 2500)
		p := w.settled(w.enqueue(ledger.Block, numbers...))
		if p.Succeeded != len(numbers) {
			t.Fatalf("%+v", p)
		}
		if d := cmp.Diff(sorted(waIDs(numbers)), sorted(w.sim.Snapshot(phoneNumberID))); d != "" {
			t.Fatal(d)
		}
		w.settled(w.enqueue(ledger.Unblock, numbers...))
		if left := w.sim.Snapshot(phoneNumberID); len(left) != 0 {
			t.Errorf("%d left", len(left))
		}
		if calls := len(w.sim.Journal()); calls > 12 {
			t.Errorf("%d calls for twice 2,500 users", calls)
		}
		if o := simulator.Overlaps(w.sim.Journal()); len(o) != 0 {
			t.Errorf("users in two calls at once: %v", o)
		}
	})
}

// TestEveryFate drives each of the simulator's numbers with a meaning to the end that it must
// have.
func TestEveryFate(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.cfg.MaxAttempts = 5
		w.run()
		dead := map[string]int{
			"+15550131047": 131047, "+15550000404": 131047, "+15550131021": 131021, "+15550139103": 139103,
			"+15550000100": 100, "+15550131009": 131009, "+15550000000": 0,
		}
		good := append(numbersFrom(0, 40), "+15550000002", "+15550000521", "+15550130429")
		all := slices.Clone(good)
		for n := range dead {
			all = append(all, n)
		}
		p := w.settled(w.enqueue(ledger.Block, all...))
		if p.Succeeded != len(good) || p.DeadLettered != len(dead) {
			t.Errorf("%+v, want %d and %d", p, len(good), len(dead))
		}
		for _, n := range good {
			if e := w.entry(n); e.State != ledger.Succeeded {
				t.Errorf("%s: %+v", n, e)
			}
		}
		if e := w.entry("+15550000521"); e.WaID != "15550999521" {
			t.Errorf("wa_id: %q", e.WaID)
		}
		for n, code := range dead {
			id, _ := user.Parse(n)
			w.eventually(n+" is in the dead-letter queue", func() bool {
				_, ok := taskfixture.Letter(t, w.dead, phoneNumberID, id)
				return ok
			})
			d, _ := taskfixture.Letter(t, w.dead, phoneNumberID, id)
			if d.Code != code || d.Operation != ledger.Block || d.Attempts == 0 || d.FirstFailedAt.IsZero() || d.Message == "" {
				t.Errorf("%s: %+v", n, d)
			}
		}
		if e := w.entry("+15550139103"); e.Attempts != 5 {
			t.Errorf("139103 after %d attempts", e.Attempts)
		}
	})
}

func TestFullListStopsBlocksNotUnblocks(t *testing.T) {
	t.Parallel()
	eachInTime(t, simulator.Scenario{Blocking: simulator.Blocking{Capacity: 5}}, func(t *testing.T, w *world) {
		w.run()
		p := w.settled(w.enqueue(ledger.Block, numbersFrom(0, 8)...))
		if p.Succeeded != 5 || p.DeadLettered != 3 {
			t.Fatalf("%+v", p)
		}
		late := w.enqueue(ledger.Block, "+16505559000")
		w.settled(w.enqueue(ledger.Unblock, w.sim.Snapshot(phoneNumberID)[:2]...))
		if p := w.settled(late); p.Succeeded != 1 {
			t.Errorf("with room again: %+v", p)
		}
	})
}

func TestRateLimitUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 130429, Times: 3}}}
	eachInTime(t, sc, func(t *testing.T, w *world) {
		w.cfg.MaxAttempts = 1
		w.run()
		if p := w.settled(w.enqueue(ledger.Block, "+16505550001")); p.Succeeded != 1 {
			t.Errorf("%+v", p)
		}
	})
}

func TestOutageUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectHTML, Times: 5}}}
	eachInTime(t, sc, func(t *testing.T, w *world) {
		w.cfg.MaxAttempts = 2
		w.run()
		if p := w.settled(w.enqueue(ledger.Block, numbersFrom(0, 3)...)); p.Succeeded != 3 {
			t.Errorf("%+v", p)
		}
		if e := w.entry("+16505550000"); e.Attempts != 0 {
			t.Errorf("%d attempts used up", e.Attempts)
		}
	})
}

func TestRefusedTokenHaltsAndResumesWithANewOne(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{Tokens: []simulator.Token{{Token: "fresh"}}}, func(t *testing.T, w *world) {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "stale")
		var err error
		if w.token, err = secret.File(path); err != nil {
			t.Fatal(err)
		}
		w.run()
		job := w.enqueue(ledger.Block, numbersFrom(0, 3)...)
		w.eventually("a call is refused", func() bool {
			j := w.sim.Journal()
			return len(j) > 0 && j[0].Code == 190
		})
		write(t, path, "fresh")
		if p := w.settled(job); p.Succeeded != 3 {
			t.Errorf("%+v", p)
		}
		if e := w.entry("+16505550000"); e.Attempts != 0 {
			t.Errorf("%d attempts used up", e.Attempts)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWrongAppSecretKillsNoUser: the API answers a wrong proof with 100, the code of a user at
// fault, for many users as for one.
func TestWrongAppSecretKillsNoUser(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			eachInTime(t, simulator.Scenario{AppSecret: "theirs"}, func(t *testing.T, w *world) {
				path := filepath.Join(t.TempDir(), "app_secret")
				write(t, path, "ours")
				appSecret, err := secret.File(path)
				if err != nil {
					t.Fatal(err)
				}
				c, err := client.New(w.url, "v25.0", w.token, append(w.options, client.WithAppSecret(appSecret))...)
				if err != nil {
					t.Fatal(err)
				}
				w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
					return worker.PhoneNumber{ID: id, API: c, Token: w.token, Listed: true}, true
				}
				w.run()
				job := w.enqueue(ledger.Block, numbersFrom(0, n)...)
				w.eventually("several calls are refused", func() bool { return len(w.sim.Journal()) > 3 })
				if e := w.entry("+16505550000"); e.State.Ended() || e.Attempts != 0 {
					t.Errorf("%+v", e)
				}
				write(t, path, "theirs")
				if _, err := appSecret.Reload(); err != nil {
					t.Fatal(err)
				}
				if p := w.settled(job); p.Succeeded != n {
					t.Errorf("with the right secret: %+v", p)
				}
			})
		})
	}
}

func TestNoTokenForAPhoneNumber(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.run()
		job, err := w.producer.Block(t.Context(), numbersFrom(0, 3), tasks.WithPhoneNumberID("4242"))
		if err != nil {
			t.Fatal(err)
		}
		if p := w.settled(job); p.DeadLettered != 3 {
			t.Errorf("%+v", p)
		}
		if n := len(w.sim.Journal()); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestGarbageEndsInTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		c := asynq.NewClientFromRedisClient(w.rdb)
		for i, task := range []*asynq.Task{
			asynq.NewTask(queues.TypeBlock, []byte("not json")),
			asynq.NewTask(queues.TypeUnblock, nil),
			asynq.NewTask("who:knows", []byte(`{}`)),
			asynq.NewTask(queues.TypeBlock, []byte(`{"v":99}`)),
			asynq.NewTask(queues.TypeDeadLetter, []byte(`{}`)),
		} {
			queue := []string{"interactive", "bulk", "reconcile"}[i%3]
			if _, err := c.EnqueueContext(t.Context(), task, asynq.Queue(queue), asynq.MaxRetry(0)); err != nil {
				t.Fatal(err)
			}
		}
		w.run()
		if p := w.settled(w.enqueue(ledger.Block, "+16505550001")); p.Succeeded != 1 {
			t.Errorf("%+v", p)
		}
		w.eventually("all garbage is in the dead-letter queue", func() bool {
			n := 0
			for d, err := range w.dead.All(t.Context(), deadletter.Filter{}) {
				if err != nil {
					t.Fatal(err)
				}
				if d.Malformed == nil || d.Malformed.Reason == "" {
					t.Errorf("%+v", d)
				}
				n++
			}
			return n == 5
		})
	})
}

// TestStopHandsBack stops a worker while a call hangs on its way: the call is settled or given
// back, and another worker ends the job.
func TestStopHandsBack(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(100 * time.Millisecond)}}
	each(t, sc, func(t *testing.T, w *world) {
		w.cfg.Limiter = redislimit.New(w.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 10, Burst: 1, MaxUsers: 10} })
		stop := w.run()
		job := w.enqueue(ledger.Block, numbersFrom(0, 50)...)
		w.eventually("a call is in flight", func() bool { return len(w.sim.Journal()) > 1 })
		stop()
		for _, c := range w.sim.Journal() {
			if c.Status != 200 {
				t.Errorf("a call in flight was cut: %+v", c)
			}
		}
		p, err := w.producer.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
		if err != nil || p.Pending == 0 {
			t.Fatalf("it was to be stopped halfway: %+v, %v", p, err)
		}
		w.run()
		if p := w.settled(job); p.Succeeded != 50 {
			t.Errorf("%+v", p)
		}
		total := 0
		for _, c := range w.sim.Journal() {
			total += len(c.Users)
		}
		if total != 50 {
			t.Errorf("%d users were sent for 50: a call was repeated", total)
		}
	})
}

func TestResultsShowPerTask(t *testing.T) {
	t.Parallel()
	each(t, simulator.Scenario{}, func(t *testing.T, w *world) {
		w.run()
		job := w.enqueue(ledger.Block, "+16505550001", "+15550131047")
		w.settled(job)
		w.eventually("the task has its result", func() bool {
			s, err := w.producer.Tasks(t.Context(), job.ID)
			return err == nil && s.Result.Succeeded == 1 && s.Result.DeadLettered == 1 && s.Result.Codes[131047] == 1
		})
	})
}

// TestOneNumberDoesNotHoldUpAnother refuses every call of one phone number ID, which has more
// tasks than the worker has slots, and expects another one's jobs to go through at once.
func TestOneNumberDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	const other = "106540352242923"
	sc := simulator.Scenario{Faults: []simulator.Fault{
		{Effect: simulator.EffectFail, Code: 190, PhoneNumberIDs: []string{phoneNumberID}},
	}}
	each(t, sc, func(t *testing.T, w *world) {
		resolve := w.cfg.Resolve
		w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
			p, _ := resolve(id)
			return p, true
		}
		w.cfg.Concurrency = 4
		w.run()
		for _, n := range numbersFrom(0, 100) {
			w.enqueue(ledger.Block, n)
		}
		w.eventually("the first number is refused", func() bool { return len(w.sim.Journal()) > 0 })
		start := time.Now()
		for _, n := range numbersFrom(200, 20) {
			job, err := w.producer.Block(t.Context(), []string{n}, tasks.WithPhoneNumberID(other))
			if err != nil {
				t.Fatal(err)
			}
			if p := w.settled(job); p.Succeeded != 1 {
				t.Errorf("%+v", p)
			}
		}
		w.eventually("the other number's tasks have ended", func() bool {
			for _, q := range []string{"active", "pending"} {
				n, err := w.rdb.LLen(t.Context(), "asynq:{interactive}:"+q).Result()
				if err != nil || n > 0 {
					return false
				}
			}
			return true
		})
		t.Logf("took %v", time.Since(start))
		if e := w.entry("+16505550000"); e.State != ledger.Waiting || e.Attempts != 0 {
			t.Errorf("a number of the refused phone number ID: %+v", e)
		}
	})
}

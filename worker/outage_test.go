package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

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
	"github.com/wablock/wablock/worker"
)

// inProcess carries requests to a handler without a socket, which would stop a bubble's clock.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (res *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil { // the handler cuts the connection
			res, err = nil, fmt.Errorf("connection reset: %v", p)
		}
	}()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec.Result(), r.Context().Err()
}

// lineCounter counts log lines and what each says.
type lineCounter struct {
	mu   sync.Mutex
	all  int
	said map[string]int
}

func (c *lineCounter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all++
	c.said[r.Message]++
	return nil
}

func (c *lineCounter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func (c *lineCounter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.said)
}

func (c *lineCounter) Enabled(context.Context, slog.Level) bool { return true }
func (c *lineCounter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *lineCounter) WithGroup(string) slog.Handler            { return c }

// bubble is a world on simulated time: everything in it is in this process.
type bubble struct {
	*world
	mini *miniredis.Miniredis
	logs *lineCounter
}

func inBubble(t *testing.T, sc simulator.Scenario, body func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		rdb := redis.NewClient(&redis.Options{
			Addr:                     "127.0.0.1:6379", // no name to look up, which would leave the bubble
			PoolSize:                 4000,             // a wait for a connection takes a timer that go-redis shares among bubbles
			Dialer:                   func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		sim, err := simulator.New(simulator.Config{Scenario: sc})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // after what the body has started
			if err := rdb.Close(); err != nil {
				t.Error(err)
			}
			m.Close()
		})
		b := &bubble{
			mini: m, logs: &lineCounter{said: map[string]int{}},
			world: worldOf(t, rdb, sim, "http://api", client.WithTransport(inProcess{sim})),
		}
		b.cfg = worker.Config{
			Redis: rdb, Resolve: b.resolve, Logger: slog.New(b.logs),
			Limiter: redislimit.New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 5} }),
		}
		body(t, b)
	})
}

// resolve serves every phone number ID.
func (b *bubble) resolve(id string) (worker.PhoneNumber, bool) {
	p, _ := b.world.resolve(id)
	return p, true
}

// runLanes runs a worker without asynq, and hands it the tasks of a job.
func (b *bubble) runLanes(job tasks.Job) (stop func()) {
	b.t.Helper()
	w, err := worker.New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	p := queues.Payload{
		JobID: job.ID, PhoneNumberID: job.PhoneNumberID, Operation: job.Operation, Version: job.Version,
		Users: job.Users, Parts: 1, RequestedAt: time.Now(),
	}
	task, err := p.Task()
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	go func() {
		w.RunLanes(ctx, task)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// commandCounter counts what is asked of Redis.
type commandCounter struct{ n atomic.Int64 }

func (c *commandCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commandCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *commandCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// heap returns the bytes in use after a collection, of the whole process: tests that look at it are not
// run in parallel.
func heap() int {
	runtime.GC()
	runtime.GC() // what the first one moved out of pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// outage lets time pass in which nothing can succeed, and holds the process to being idle: no
// memory gathers, and no more than so many lines a minute are logged.
func (b *bubble) outage(d time.Duration, linesAMinute float64) {
	b.t.Helper()
	<-time.After(d / 10)
	before, routines, lines := heap(), runtime.NumGoroutine(), b.logs.count()
	<-time.After(d - d/10)
	after := heap()
	b.t.Logf("%v: heap from %d to %d KB, %d to %d goroutines, log: %s", d, before>>10, after>>10, routines, runtime.NumGoroutine(), b.logs)
	if after > before+2<<20 { // of the process: what earlier tests left behind moves it by some 100 KB
		b.t.Errorf("the heap grew by %d KB", (after-before)>>10)
	}
	// A connection more has two goroutines, and commands that come at once may open some; a leak has hundreds.
	if more := runtime.NumGoroutine() - routines; more > 20 {
		b.t.Errorf("%d more goroutines", more)
	}
	if n, most := b.logs.count()-lines, linesAMinute*(d-d/10).Minutes(); float64(n) > most {
		b.t.Errorf("%d lines were logged, more than %.0f", n, most)
	}
}

// untouched fails the test unless all of a job's users wait, with no attempt used up.
func (b *bubble) untouched(job tasks.Job) {
	b.t.Helper()
	entries, err := ledger.New(b.rdb, phoneNumberID).Entries(b.t.Context(), job.Users)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		if e.State.Ended() || e.Attempts > 0 {
			b.t.Fatalf("%+v", e)
		}
	}
	if n, err := letters(b.t, b.dead); n > 0 || err != nil {
		b.t.Errorf("%d dead letters, %v", n, err)
	}
}

// settledWithin fails the test unless a whole job succeeds in time.
func (b *bubble) settledWithin(job tasks.Job, d time.Duration) {
	b.t.Helper()
	start := time.Now()
	for {
		p, err := b.producer.Progress(b.t.Context(), phoneNumberID, job.Version, job.Users)
		if err != nil {
			b.t.Fatal(err)
		}
		if p.Succeeded == len(job.Users) {
			b.t.Logf("all is done %v after the end", time.Since(start))
			return
		}
		if time.Since(start) > d {
			b.t.Fatalf("not done %v after the end: %+v", d, p)
		}
		<-time.After(100 * time.Millisecond)
	}
}

var briefJournal = simulator.JournalLimits{Calls: 100, Users: 10_000}

// TestAPIDownForADay: nothing is given up, and all of it goes out by itself in the end.
func TestAPIDownForADay(t *testing.T) {
	sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectHTML, Status: 503}}, Journal: briefJournal}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		job := b.enqueue(ledger.Block, numbersFrom(0, 20)...)
		stop := b.runLanes(job)
		hours := time.Duration(redistest.Rounds(t, 6, 24))
		b.outage(hours*time.Hour, 0.1)
		b.untouched(job)
		if err := b.sim.SetScenario(simulator.Scenario{}); err != nil {
			t.Fatal(err)
		}
		b.settledWithin(job, 2*time.Minute)
		stop()
	})
}

// TestTokenRefusedForDays: the same, until the file of the token holds one that is accepted.
func TestTokenRefusedForDays(t *testing.T) {
	sc := simulator.Scenario{Tokens: []simulator.Token{{Token: "fresh"}}, Journal: briefJournal}
	inBubble(t, sc, func(t *testing.T, b *bubble) {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "stale")
		var err error
		if b.token, err = secret.File(path); err != nil {
			t.Fatal(err)
		}
		job := b.enqueue(ledger.Block, numbersFrom(0, 20)...)
		stop := b.runLanes(job)
		hours := time.Duration(redistest.Rounds(t, 6, 72))
		b.outage(hours*time.Hour, 0.1)
		b.untouched(job)
		write(t, path, "fresh")
		b.settledWithin(job, 10*time.Second)
		stop()
	})
}

// TestRedisDownForTenMinutes runs all of a worker, asynq's servers as well.
func TestRedisDownForTenMinutes(t *testing.T) {
	// LOADING is tried again by go-redis, with pauses; MISCONF, of a full disk, is not.
	for name, reply := range map[string]string{
		"loading": "LOADING Redis is loading the dataset in memory",
		"misconf": "MISCONF Errors writing to the AOF file: No space left on device",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Scenario{Limits: []simulator.Limit{{Rate: 1, Burst: 1}}}, func(t *testing.T, b *bubble) {
				b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 1, Burst: 1, MaxUsers: 10} })
				stop := b.run()
				job := b.enqueue(ledger.Block, numbersFrom(0, 500)...)
				<-time.After(10 * time.Second) // so that calls are under way
				b.mini.SetError(reply)
				commands := new(commandCounter)
				b.rdb.AddHook(commands)
				b.outage(10*time.Minute, 10)
				if n := commands.n.Load(); n > 20*600 {
					t.Errorf("%d commands in ten minutes: nothing paused between them", n)
				}
				b.mini.SetError("")
				b.settledWithin(job, 3*time.Minute)
				if n, err := letters(t, b.dead); n > 0 || err != nil {
					t.Errorf("%d dead letters, %v", n, err)
				}
				stop()
			})
		})
	}
}

// letters counts dead letters.
func letters(t *testing.T, dead *deadletter.Queue) (n int, err error) {
	t.Helper()
	for _, err := range dead.All(t.Context(), deadletter.Filter{}) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

package acceptance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/time/rate"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// BenchmarkCold is a user's first job, before anything is learnt, and beside each the yardstick: a plain asynq handler
// for chunks of as many numbers, of the same rate, which keeps no result per user.
//
// share-% is the part of the calls that the ideal would have had served in the same time, rejected-% of the calls that the API
// refused for its limit; worker-ms and redis-ms are CPU per 1,000 numbers; cmds and aof-B are Redis's commands, those
// within scripts included, and bytes of its append-only file per number. The counters of a file hold its enqueueing on Redis's
// side, those of single jobs do not.
func BenchmarkCold(b *testing.B) {
	right := coldCase{rate: benchRate, users: 1000, numbers: benchNumbers}
	hidden := coldCase{
		limit: simulator.Limit{Rate: 5, Burst: 5}, rate: 20, users: 100, numbers: 40_000, lasts: 36 * time.Second, halved: true,
	}
	one := coldCase{rate: 10_000, users: 1, numbers: 20_000, latency: 10 * time.Millisecond, atOnce: 64} // no limit that is met
	trickle := coldCase{rate: 100, users: 1, numbers: 600, every: time.Second / 30}
	locked := hidden
	locked.limit.Lockout, locked.limit.LockoutExtend = simulator.Duration(2*time.Second), simulator.Duration(time.Second)
	for _, c := range []struct {
		name string
		coldCase
		run func(*coldRun)
	}{
		{"64000/file", right, (*coldRun).file},
		{"64000/file-known", right, func(r *coldRun) { r.known = true; r.file() }},
		{"64000/singles", right, (*coldRun).singles},
		{"64000/asynq", right, (*coldRun).asynq},
		{"one-user/file", one, (*coldRun).file},
		{"one-user/asynq", one, (*coldRun).asynq},
		{"trickle/singles", trickle, (*coldRun).trickle},
		{"trickle/asynq", trickle, (*coldRun).asynq},
		{"36s/file", hidden, (*coldRun).file},
		{"36s/asynq", hidden, (*coldRun).asynq},
		{"36s-lockouts/file", locked, (*coldRun).file},
		{"36s-lockouts/asynq", locked, (*coldRun).asynq},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				r := newColdRun(b, c.coldCase)
				c.run(r)
			}
		})
	}
}

// coldCase holds what the API allows, and the work.
type coldCase struct {
	limit   simulator.Limit // none but the configured rate where it is zero
	rate    int             // configured, with a burst of five
	users   int             // a call
	latency time.Duration   // of the API, 0 for that of the other benchmarks
	atOnce  int             // tasks that asynq has in hand, 0 for ten
	numbers int
	lasts   time.Duration // 0 for as long as the work does
	every   time.Duration // between jobs that trickle in, or asynq's chunks; 0 for none
	halved  bool          // for the second third of it
}

// coldRun is one run of a case.
type coldRun struct {
	coldCase
	b     *testing.B
	s     *system
	p     *tasks.Producer
	known bool // the rate is
	since int  // calls before
	begin time.Time

	redisCPU      time.Duration
	commands, aof int
}

const coldBurst = 5

func newColdRun(b *testing.B, c coldCase) *coldRun {
	b.Helper()
	s := newSystem(b, c.scenario(1), "--auto-aof-rewrite-percentage", "0")
	s.env = append(s.env, fmt.Sprint("WABLOCK_RATE=", c.rate), fmt.Sprint("WABLOCK_BURST=", coldBurst),
		fmt.Sprint("WABLOCK_MAX_USERS_PER_CALL=", c.users), "WABLOCK_LOG_LEVEL=warn")
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID, Retention: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	return &coldRun{coldCase: c, b: b, s: s, p: p}
}

// scenario is the API with its limit times a factor.
func (c coldCase) scenario(factor float64) simulator.Scenario {
	sc := simulator.Scenario{
		Latency:  simulator.Latency{Base: simulator.Duration(cmp.Or(c.latency, benchLatency))},
		Blocking: simulator.Blocking{Capacity: 200_000},
		Journal:  simulator.JournalLimits{Calls: 100_000, Users: 10_000_000},
	}
	if c.limit.Rate > 0 {
		sc.Limits = []simulator.Limit{c.limit}
		sc.Limits[0].Rate *= factor
	}
	return sc
}

// file gives a waiting worker one job.
func (r *coldRun) file() {
	r.b.Helper()
	w := r.s.quietWorker("worker")
	if r.known {
		r.s.warmUp(r.p)
	}
	r.start()
	cpu := w.cpu()
	if _, err := r.p.Block(r.b.Context(), numbers(r.numbers)); err != nil {
		r.b.Fatal(err)
	}
	r.wait(r.waits)
	r.report(w.cpu() - cpu)
}

// singles starts a worker on jobs of one number.
func (r *coldRun) singles() {
	r.b.Helper()
	enqueueSingles(r.b, r.p, numbers(r.numbers))
	r.start()
	w := r.s.quietWorker("worker")
	r.begin = time.Time{} // with the first call
	r.wait(r.waits)
	r.report(w.cpu())
}

// trickle gives a waiting worker jobs of one number, one after another.
func (r *coldRun) trickle() {
	r.b.Helper()
	w := r.s.quietWorker("worker")
	r.start()
	cpu := w.cpu()
	for _, n := range numbers(r.numbers) {
		if _, err := r.p.Block(r.b.Context(), []string{n}); err != nil {
			r.b.Fatal(err)
		}
		r.s.pause(r.every)
	}
	r.wait(r.waits)
	r.report(w.cpu() - cpu)
}

// waits reports whether users of the ledger wait, or tasks have not ended.
func (r *coldRun) waits() bool {
	b, err := ledger.New(r.s.rdb, phoneNumberID).Backlog(r.b.Context())
	return err != nil || !b.Empty() || r.tasksOf("bulk")
}

// tasksOf reports whether tasks of a queue have not ended.
func (r *coldRun) tasksOf(queue string) bool {
	prefix := "asynq:{" + queue + "}:"
	n, err := r.s.rdb.Exists(r.b.Context(), prefix+"retry", prefix+"pending", prefix+"active").Result()
	return err != nil || n > 0
}

// asynq gives chunks to a plain handler with a limiter of the configured rate, which asks again a second or two after
// each refusal. Its CPU is that of this process, which enqueues as well.
func (r *coldRun) asynq() {
	r.b.Helper()
	api, err := client.New(r.s.url, "v25.0", secret.Static(secret.New(accessToken)))
	if err != nil {
		r.b.Fatal(err)
	}
	bucket := rate.NewLimiter(rate.Limit(r.rate), coldBurst)
	limited := func(err error) bool {
		e, ok := errors.AsType[*client.APIError](err)
		return ok && e.Code == 130429
	}
	server := asynq.NewServerFromRedisClient(r.s.rdb, asynq.Config{
		Concurrency: cmp.Or(r.atOnce, 10), LogLevel: asynq.FatalLevel, DelayedTaskCheckInterval: time.Second,
		IsFailure:      func(err error) bool { return !limited(err) },
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second + rand.N(time.Second) },
	})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		var chunk []string
		if err := json.Unmarshal(t.Payload(), &chunk); err != nil {
			return err
		}
		users := make([]user.ID, len(chunk))
		for i, n := range chunk {
			var err error
			if users[i], err = user.FromCanonical(n); err != nil {
				return err
			}
		}
		if err := bucket.Wait(ctx); err != nil {
			return err
		}
		_, err := api.Block(ctx, phoneNumberID, users)
		return err
	}))
	if err != nil {
		r.b.Fatal(err)
	}
	defer server.Shutdown()
	r.start()
	cpu := ownCPU(r.b)
	q := asynq.NewClientFromRedisClient(r.s.rdb)
	all, left := numbers(r.numbers), 0
	for ; len(all) > 0; left++ {
		payload, err := json.Marshal(all[:r.users])
		if err != nil {
			r.b.Fatal(err)
		}
		all = all[r.users:]
		if _, err := q.EnqueueContext(r.b.Context(), asynq.NewTask("chunk", payload)); err != nil {
			r.b.Fatal(err)
		}
		if r.every > 0 {
			r.s.pause(r.every)
		}
	}
	r.wait(func() bool { return r.tasksOf("default") })
	r.report(ownCPU(r.b) - cpu)
}

// ownCPU is the time that this process has computed.
func ownCPU(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *coldRun) start() {
	r.b.Helper()
	r.since = len(r.s.journal())
	r.redisCPU, r.commands, r.aof = r.s.redisCPU(), r.commandsNow(), r.aofNow()
	r.begin = time.Now()
}

func (r *coldRun) commandsNow() (n int) {
	r.b.Helper()
	scan(r.b, lineWith(r.b, r.s.info("stats"), "total_commands_processed:"), "%d", &n)
	return n
}

func (r *coldRun) aofNow() (n int) {
	r.b.Helper()
	scan(r.b, lineWith(r.b, r.s.info("persistence"), "aof_current_size:"), "%d", &n)
	return n
}

// wait waits for the end of the work, or of the time, in which the limit is halved and restored.
func (r *coldRun) wait(goesOn func() bool) {
	r.b.Helper()
	if r.lasts == 0 {
		for goesOn() && r.b.Context().Err() == nil {
			r.s.pause(200 * time.Millisecond) // looking costs Redis what is to be measured
		}
		return
	}
	for _, factor := range []float64{1, 0.5, 1} {
		if r.halved {
			r.s.send(http.MethodPut, "/_simulator/scenario", r.scenario(factor))
		}
		r.s.pause(r.lasts / 3)
	}
	if !goesOn() {
		r.b.Fatal("the work ended before the time did: it needs more numbers")
	}
}

// report holds the calls against what the API would have let through.
func (r *coldRun) report(worker time.Duration) {
	r.b.Helper()
	redis, commands, aof := r.s.redisCPU()-r.redisCPU, r.commandsNow()-r.commands, r.aofNow()-r.aof
	calls := r.s.journal()[r.since:]
	if len(calls) == 0 {
		r.b.Fatal("no call was made")
	}
	if r.begin.IsZero() {
		r.begin = calls[0].Begin
	}
	var served, refused, users int
	last := r.begin
	for _, c := range calls {
		switch {
		case c.Code == 130429:
			refused++
		case c.Status == http.StatusOK:
			served++
			users += len(c.Users)
			if c.End.After(last) {
				last = c.End
			}
		}
	}
	if users == 0 || r.lasts == 0 && users < r.numbers {
		r.b.Fatalf("%d numbers were sent", users)
	}
	if r.lasts > 0 {
		ideal := r.limit.Rate * r.lasts.Seconds() * (1 + 0.5 + 1) / 3
		r.b.ReportMetric(100*float64(served)/ideal, "share-%")
	} else {
		ideal, took := float64(r.numbers/r.users-coldBurst)/float64(r.rate)+benchLatency.Seconds(), last.Sub(r.begin).Seconds()
		r.b.ReportMetric(100*ideal/took, "share-%")
		r.b.ReportMetric(float64(served)/took, "calls/s")
	}
	thousands := float64(users) / 1000
	r.b.ReportMetric(100*float64(refused)/float64(len(calls)), "rejected-%")
	r.b.ReportMetric(float64(worker.Milliseconds())/thousands, "worker-ms/1000")
	r.b.ReportMetric(float64(redis.Milliseconds())/thousands, "redis-ms/1000")
	r.b.ReportMetric(float64(commands)/float64(users), "cmds/number")
	r.b.ReportMetric(float64(aof)/float64(users), "aof-B/number")
	r.b.ReportMetric(0, "ns/op")
}

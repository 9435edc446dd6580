package learnbench

import (
	"fmt"
	"math"
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
	"github.com/wablock/wablock/ratelimit"
)

// Every run lasts ten minutes with 150 ms of latency; the calls in flight are shared out among the processes.
const (
	runLength = 10 * time.Minute
	latency   = 150 * time.Millisecond
	allFlying = 32
)

// Limits change at these times where they do. The restoration comes a little later with each seed, so that it meets
// the law at every stage of its cycle.
const (
	halvedAt       = 200 * time.Second
	restoredAt     = 400 * time.Second
	restoredLater  = 2300 * time.Millisecond
	capRate        = 10.0 // calls a second in the scenarios about users per call
	lockoutRate    = 5.0
	lockoutTime    = 2 * time.Second
	lockoutPerCall = time.Second

	shortLength   = 36 * time.Second
	shortHalved   = 12 * time.Second
	shortRestored = 24 * time.Second
	cold          = "64,000 numbers at the configured rate"
)

// scenario is one line of the table.
type scenario struct {
	name      string
	limit     float64 // true limit in calls a second
	processes int
	users     int // true cap of users per call; 0 when there is none
	restored  bool
	build     func(w *world, limit float64)
	ceiling   float64 // configured rate; 0 for one far above every limit
	again     bool    // the job has been run before, so that the limit is known
}

func (s scenario) world(seed uint64) world {
	w := world{
		processes: s.processes, inFlight: allFlying / s.processes, latency: latency, length: runLength, seed: seed,
	}
	s.build(&w, s.limit)
	return w
}

// burst returns how many calls the true limiter lets through at once: what it gives in a second.
func burst(limit float64) int { return max(1, int(limit)) }

func tokenBucket(w *world, limit float64) { w.quota = quota.NewTokenBucket(limit, burst(limit)) }

func burstOf(calls int) func(*world, float64) {
	return func(w *world, limit float64) { w.quota = quota.NewTokenBucket(limit, calls) }
}

func deepBucket(w *world, limit float64) { w.quota = quota.NewTokenBucket(limit, burst(5*limit)) }

func fixedWindow(w *world, limit float64) {
	w.quota = quota.NewFixedWindow(int(limit*60), time.Minute)
}

func statedWindow(w *world, limit float64) {
	fixedWindow(w, limit)
	w.states = true
}

// changing halves the limit and restores it.
func changing(w *world, limit float64) {
	q := quota.NewTokenBucket(limit, burst(limit))
	w.quota, w.changes = q, halving(q, limit, halvedAt, restored(w.seed))
}

// changingWindow is changing for a fixed window.
func changingWindow(w *world, limit float64) {
	q := quota.NewFixedWindow(int(limit*60), time.Minute)
	w.quota, w.changes = q, halving(q, limit, halvedAt, restored(w.seed))
}

// halving halves a limit at one time and restores it at another.
func halving(q interface{ SetRate(time.Time, float64) }, limit float64, halved, restored time.Duration) []change {
	return []change{
		{halved, limit / 2, func(now time.Time) { q.SetRate(now, limit/2) }},
		{restored, limit, func(now time.Time) { q.SetRate(now, limit) }},
	}
}

func restored(seed uint64) time.Duration { return restoredAt + time.Duration(seed)*restoredLater }

// lockoutAfter is a lock-out at a latency.
func lockoutAfter(latency time.Duration) func(*world, float64) {
	return func(w *world, limit float64) {
		lockout(w, limit)
		w.latency = latency
	}
}

// hourly is a quota of so many calls in each hour, for six hours.
func hourly(w *world, limit float64) {
	w.quota = quota.NewFixedWindow(int(math.Round(3600*limit)), time.Hour)
	w.length = 6 * time.Hour
}

// shortJob is a job of 36 seconds in which a bucket's limit is halved and restored.
func shortJob(locks bool) func(*world, float64) {
	return func(w *world, limit float64) {
		q := quota.NewTokenBucket(limit, burst(limit))
		w.length, w.quota = shortLength, q
		if locks {
			w.quota = quota.NewLockout(q, lockoutTime, lockoutPerCall)
		}
		w.changes = halving(q, limit, shortHalved, shortRestored)
	}
}

// bounded is a job of 64,000 numbers that only the configured rate limits.
func bounded(w *world, _ float64) { w.quota, w.calls = quota.All{}, 64 }

func lockout(w *world, limit float64) {
	w.quota = quota.NewLockout(quota.NewTokenBucket(limit, burst(limit)), lockoutTime, lockoutPerCall)
}

func capped(users int) func(*world, float64) {
	return func(w *world, limit float64) {
		w.quota = quota.WithUsersCap(quota.NewTokenBucket(limit, burst(limit)), users)
	}
}

var limits = []float64{0.3, 1, 5, 20, 50}

// scenarios are all lines of the table.
func scenarios() []scenario {
	var all []scenario
	add := func(name string, limit float64, users int, restored bool, build func(*world, float64)) {
		for _, p := range []int{1, 8} {
			all = append(all, scenario{name: name, limit: limit, processes: p, users: users, restored: restored, build: build})
		}
	}
	single := func(s scenario) {
		s.processes = 1
		all = append(all, s)
	}
	for _, l := range limits {
		add("token bucket", l, 0, false, tokenBucket)
	}
	for _, l := range limits {
		add("token bucket, halved and restored", l, 0, true, changing)
	}
	add("lock-out", lockoutRate, 0, false, lockout)
	for _, after := range []time.Duration{150 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond} {
		for _, l := range []float64{1, 5, 20} {
			single(scenario{name: fmt.Sprintf("lock-out, %v", after), limit: l, build: lockoutAfter(after)})
		}
	}
	for _, users := range []int{50, 200, 1000} {
		add(fmt.Sprintf("at most %d users", users), capRate, users, false, capped(users))
	}
	for _, l := range limits {
		add("window of 60 s", l, 0, false, fixedWindow)
	}
	for _, l := range limits {
		add("window of 60 s, halved and restored", l, 0, true, changingWindow)
	}
	for _, l := range limits {
		add("window of 60 s, Retry-After", l, 0, false, statedWindow)
	}
	for _, calls := range []int{1, 2, 3} {
		for _, l := range []float64{5, 20, 50} {
			single(scenario{name: fmt.Sprintf("token bucket, burst of %d", calls), limit: l, build: burstOf(calls)})
		}
	}
	for _, l := range []float64{5, 20, 50} {
		add("token bucket, burst of 5 s", l, 0, false, deepBucket)
	}
	for _, l := range []float64{5, 20} {
		single(scenario{name: "GCRA, tolerance of a call", limit: l, build: gcraOf(1)})
	}
	for _, l := range []float64{1, 5, 20} {
		single(scenario{name: "rolling window of 60 s", limit: l, build: rolling})
		single(scenario{name: "window of 60 s from its first call", limit: l, build: started})
	}
	single(scenario{name: "rolling window of 60 s, halved and restored", limit: 5, restored: true, build: changingRolling})
	single(scenario{name: "200 in any hour", limit: 200.0 / 3600, build: rollingHourly})
	for _, n := range []float64{200, 5000} {
		single(scenario{name: fmt.Sprintf("%v an hour", n), limit: n / 3600, build: hourly})
	}
	for _, share := range []float64{0.3, 0.6} {
		for _, l := range []float64{1, 5, 20} {
			single(scenario{name: fmt.Sprintf("token bucket, others draw %.0f %%", 100*share), limit: l, build: withOthers(share)})
		}
	}
	single(scenario{name: "job of 36 s, halved and restored", limit: 5, build: shortJob(false)})
	single(scenario{name: "job of 36 s with lock-outs, halved and restored", limit: 5, build: shortJob(true)})
	single(scenario{name: cold, limit: 10, build: bounded, ceiling: 10})
	single(scenario{name: cold + ", again", limit: 10, build: bounded, ceiling: 10, again: true})
	return all
}

// contenders are the columns of the table.
func contenders() []contender {
	return []contender{
		{"wablock", func(s scenario, seed uint64) strategy {
			if s.ceiling > 0 {
				return newWablockWith(seed, ratelimit.Settings{Rate: s.ceiling})
			}
			return newWablock(seed)
		}},
		{"fixed-right", func(s scenario, seed uint64) strategy {
			return newFixed(seed, s.processes, allFlying/s.processes, s.limit, false)
		}},
		{"fixed-10x-backoff", func(s scenario, seed uint64) strategy {
			return newFixed(seed, s.processes, allFlying/s.processes, 10*s.limit, true)
		}},
		{"aws-adaptive", func(s scenario, seed uint64) strategy {
			return newAWS(seed, s.processes, allFlying/s.processes)
		}},
	}
}

type contender struct {
	name string
	make func(s scenario, seed uint64) strategy
}

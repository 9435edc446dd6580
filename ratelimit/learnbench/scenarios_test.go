package learnbench

import (
	"fmt"
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
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
)

// scenario is one line of the table.
type scenario struct {
	name      string
	limit     float64 // true limit in calls a second
	processes int
	users     int // true cap of users per call; 0 when there is none
	restored  bool
	build     func(w *world, limit float64)
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

func strictBucket(w *world, limit float64) { w.quota = quota.NewTokenBucket(limit, 1) }

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
	w.quota = q
	w.changes = []change{
		{halvedAt, func(now time.Time) { q.SetRate(now, limit/2) }},
		{restored(w.seed), func(now time.Time) { q.SetRate(now, limit) }},
	}
}

// changingWindow is changing for a fixed window.
func changingWindow(w *world, limit float64) {
	q := quota.NewFixedWindow(int(limit*60), time.Minute)
	w.quota = q
	w.changes = []change{
		{halvedAt, func(now time.Time) { q.SetRate(now, limit/2) }},
		{restored(w.seed), func(now time.Time) { q.SetRate(now, limit) }},
	}
}

func restored(seed uint64) time.Duration { return restoredAt + time.Duration(seed)*restoredLater }

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
			all = append(all, scenario{name, limit, p, users, restored, build})
		}
	}
	for _, l := range limits {
		add("token bucket", l, 0, false, tokenBucket)
	}
	for _, l := range limits {
		add("token bucket, halved and restored", l, 0, true, changing)
	}
	add("lock-out", lockoutRate, 0, false, lockout)
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
	for _, l := range []float64{5, 20, 50} {
		add("token bucket without burst", l, 0, false, strictBucket)
	}
	for _, l := range []float64{5, 20, 50} {
		add("token bucket, burst of 5 s", l, 0, false, deepBucket)
	}
	return all
}

// contenders are the columns of the table.
func contenders() []contender {
	return []contender{
		{"wablock", func(_ scenario, seed uint64) strategy { return newWablock(seed) }},
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

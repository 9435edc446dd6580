package learnbench

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

// Whatever the limit, the ceiling, the latency and the cap, and whatever trouble there was: an hour after it the law
// uses most of what there is, in calls and in users.
func TestRecoversInAnyWorld(t *testing.T) {
	t.Parallel()
	const (
		length   = 110 * time.Minute
		measured = 80 * time.Minute // from here on
	)
	for seed := range uint64(redistest.Rounds(t, 10, 30)) {
		r := rand.New(rand.NewPCG(seed, 99))
		between := func(low, high float64) float64 { return low * math.Pow(high/low, r.Float64()) }
		limit, users := between(0.2, 30), int(between(3, 2000))
		set := ratelimit.Settings{Rate: limit * between(0.3, 10), Burst: 1 + r.IntN(20)}
		w := world{
			processes: 1 + r.IntN(3), inFlight: 12, length: length, seed: seed,
			latency: time.Duration(between(0.02, 0.5) * float64(time.Second)),
		}
		trouble(&w, limit, users, r, between)
		idleFrom := time.Duration(r.IntN(15)) * time.Minute
		journal := w.run(idle{newWablockWith(seed, set), idleFrom, idleFrom + time.Duration(between(10, 900))*time.Second})

		calls, carried := 0, 0
		for _, c := range journal {
			if c.at >= measured && c.allowed {
				calls++
				carried += c.users
			}
		}
		used := float64(calls) / (min(limit, set.Rate) * (length - measured).Seconds())
		filled := float64(carried) / float64(max(calls, 1)*min(users, ratelimit.DefaultMaxUsers))
		if used < 0.75 || filled < 0.55 {
			t.Errorf("world %d: %.2f calls/s, ceiling %.2f, latency %v, at most %d users, %T: used %.0f %%, filled %.0f %%",
				seed, limit, set.Rate, w.latency.Round(time.Millisecond), users, w.quota, 100*used, 100*filled)
		}
	}
}

// trouble gives the world a limiter that for some minutes lets next to nothing through.
func trouble(w *world, limit float64, users int, r *rand.Rand, between func(low, high float64) float64) {
	var q interface {
		quota.Quota
		SetRate(now time.Time, rate float64)
	} = quota.NewTokenBucket(limit, burst(limit))
	if r.IntN(2) == 0 {
		q = quota.NewFixedWindow(int(limit*60), time.Minute)
	}
	w.quota = quota.WithUsersCap(q, users)
	from, rest := time.Duration(1+r.IntN(10))*time.Minute, limit*between(0.005, 1)
	w.changes = []change{
		{from, rest, func(now time.Time) { q.SetRate(now, rest) }},
		{from + time.Duration(between(10, 600))*time.Second, limit, func(now time.Time) { q.SetRate(now, limit) }},
	}
}

// idle is a strategy without work for a while.
type idle struct {
	strategy
	from, to time.Duration
}

func (i idle) take(process int, now time.Duration) (permit, bool, time.Duration) {
	if now >= i.from && now < i.to {
		return permit{}, false, i.to - now
	}
	return i.strategy.take(process, now)
}

// Where calls take long, many are in flight when a lock-out begins, and each prolongs it. The law must not take the time
// lost for a low limit, leap up from there, and be locked out again.
func TestSlowLockoutsDoNotRepeat(t *testing.T) {
	t.Parallel()
	for _, limit := range []float64{5, 25} {
		w := world{processes: 2, inFlight: 16, latency: time.Duration(10 / limit * float64(time.Second)), length: time.Hour, seed: 1}
		lockout(&w, limit)
		calls := 0
		for _, c := range w.run(newWablockWith(1, ratelimit.Settings{Rate: 8 * limit})) {
			if c.at >= w.length/2 && c.allowed {
				calls++
			}
		}
		if used := float64(calls) / (limit * w.length.Seconds() / 2); used < 0.6 {
			t.Errorf("%v calls a second: used %.0f %%", limit, 100*used)
		}
	}
}

package learnbench

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/client/simulator/quota"
)

// others is a bucket that another program draws on at random moments, at a rate of its own; it does not back off.
type others struct {
	*quota.TokenBucket
	rate float64
	next time.Time
	rng  *rand.Rand
}

func (o *others) Allow(now time.Time, users int) bool {
	if o.next.IsZero() {
		o.next = now
	}
	for !o.next.After(now) {
		o.TokenBucket.Allow(o.next, 1)
		o.next = o.next.Add(time.Duration(o.rng.ExpFloat64() / o.rate * float64(time.Second)))
	}
	return o.TokenBucket.Allow(now, users)
}

// withOthers leaves the limit to wablock: the bucket's rate is higher by what others draw.
func withOthers(share float64) func(*world, float64) {
	return func(w *world, limit float64) {
		total := limit / (1 - share)
		w.quota = &others{
			TokenBucket: quota.NewTokenBucket(total, burst(total)), rate: share * total, rng: rand.New(rand.NewPCG(w.seed, 9)),
		}
	}
}

// gcra is the generic cell rate algorithm: a call may come as much earlier than it is due as the tolerance says.
type gcra struct {
	unlimitedUsage
	every, tolerance time.Duration
	due              time.Time
}

func (g *gcra) Allow(now time.Time, _ int) bool {
	if now.Before(g.due.Add(-g.tolerance)) {
		return false
	}
	if now.After(g.due) {
		g.due = now
	}
	g.due = g.due.Add(g.every)
	return true
}

func gcraOf(calls int) func(*world, float64) {
	return func(w *world, limit float64) {
		every := time.Duration(float64(time.Second) / limit)
		w.quota = &gcra{every: every, tolerance: time.Duration(calls) * every}
	}
}

// rollingWindow allows so many calls in any window of a length.
type rollingWindow struct {
	unlimitedUsage
	limit  int
	length time.Duration
	calls  []time.Time // of the last window
}

func (r *rollingWindow) Allow(now time.Time, _ int) bool {
	for len(r.calls) > 0 && now.Sub(r.calls[0]) >= r.length {
		r.calls = r.calls[1:]
	}
	if len(r.calls) >= r.limit {
		return false
	}
	r.calls = append(r.calls, now)
	return true
}

func rolling(w *world, limit float64) {
	w.quota = &rollingWindow{limit: int(60 * limit), length: time.Minute}
}

func (r *rollingWindow) SetRate(_ time.Time, rate float64) { r.limit = int(r.length.Seconds() * rate) }

// changingRolling is a rolling window that is halved and restored.
func changingRolling(w *world, limit float64) {
	q := &rollingWindow{limit: int(60 * limit), length: time.Minute}
	w.quota, w.changes = q, halving(q, limit, halvedAt, restored(w.seed))
}

// rollingHourly is a quota of so many calls in any hour, for six hours.
func rollingHourly(w *world, limit float64) {
	w.quota = &rollingWindow{limit: int(math.Round(3600 * limit)), length: time.Hour}
	w.length = 6 * time.Hour
}

// startedWindow allows so many calls in a minute that begins with the first call after the last.
type startedWindow struct {
	unlimitedUsage
	limit, calls int
	began        time.Time
}

func (s *startedWindow) Allow(now time.Time, _ int) bool {
	if now.Sub(s.began) >= time.Minute {
		s.began, s.calls = now, 0
	}
	if s.calls == s.limit {
		return false
	}
	s.calls++
	return true
}

func started(w *world, limit float64) { w.quota = &startedWindow{limit: int(60 * limit)} }

// unlimitedUsage is for quotas of which no header speaks.
type unlimitedUsage struct{}

func (unlimitedUsage) Usage(time.Time) float64      { return 0 }
func (unlimitedUsage) Wait(time.Time) time.Duration { return 0 }

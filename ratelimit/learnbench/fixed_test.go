package learnbench

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// fullCall is the size of the calls of a strategy that does not learn sizes.
const fullCall = 1000

// fixed is a rate from a configuration file, shared out evenly among the processes; with backOff, each of a process's calls in
// flight waits after a refusal, for a random time up to a second that doubles up to a minute.
type fixed struct {
	limiters []*rate.Limiter
	slots    [][]slot
	backOff  bool
	rng      *rand.Rand
}

// slot is one of the calls that a process may have in flight.
type slot struct {
	busy     bool
	failures int
	until    time.Duration
}

func newFixed(seed uint64, processes, inFlight int, perSecond float64, backOff bool) *fixed {
	f := &fixed{backOff: backOff, rng: rand.New(rand.NewPCG(seed, 3))}
	for range processes {
		f.limiters = append(f.limiters, rate.NewLimiter(rate.Limit(perSecond/float64(processes)), 1))
		f.slots = append(f.slots, make([]slot, inFlight))
	}
	return f
}

func (f *fixed) take(p int, now time.Duration) (permit, bool, time.Duration) {
	free, wait := freeSlot(f.slots[p], now)
	if wait > 0 {
		return permit{}, false, wait
	}
	at := epochStart.Add(now)
	r := f.limiters[p].ReserveN(at, 1)
	if wait := r.DelayFrom(at); wait > 0 {
		r.CancelAt(at)
		return permit{}, false, wait
	}
	f.slots[p][free].busy = true
	return permit{users: fullCall, more: free}, true, 0
}

func (f *fixed) report(p int, now time.Duration, pm permit, limited bool, _ time.Duration) {
	s := &f.slots[p][pm.more.(int)]
	s.busy = false
	if !limited || !f.backOff {
		s.failures = 0
		return
	}
	longest := min(time.Second<<min(s.failures, 6), time.Minute)
	s.failures++
	s.until = now + time.Duration(f.rng.Float64()*float64(longest))
}

// freeSlot finds a slot that may call now, or how long until there is one.
func freeSlot(slots []slot, now time.Duration) (int, time.Duration) {
	wait := time.Hour
	for i, s := range slots {
		switch {
		case s.busy:
		case s.until <= now:
			return i, 0
		default:
			wait = min(wait, s.until-now)
		}
	}
	return 0, wait
}

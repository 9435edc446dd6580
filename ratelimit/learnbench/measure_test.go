package learnbench

import (
	"math"
	"time"

	"github.com/wablock/wablock/ratelimit"
)

// result holds the figures of a run, or the mean of several.
type result struct {
	used     float64 // share of what the true limit would have let through
	rejected float64 // share of calls that were refused
	regained float64 // seconds from the restored limit to 80 % of it
	found    float64 // refused calls until the cap of users per call was found
	filled   float64 // users per call after that, as a share of the cap
}

// measure judges a journal.
func measure(s scenario, w world, journal []call) result {
	var r result
	allowed := 0
	for _, c := range journal {
		if c.allowed {
			allowed++
		}
	}
	r.used = float64(allowed) / capacity(s, w)
	if w.calls > 0 && len(journal) > 0 {
		first := min(s.limit, ratelimit.DefaultBurst)
		ideal := (float64(w.calls)-first)/s.limit + w.latency.Seconds()
		r.used = ideal / journal[len(journal)-1].told.Seconds()
	}
	if len(journal) > 0 {
		r.rejected = 1 - float64(allowed)/float64(len(journal))
	}
	if s.restored {
		r.regained = regained(journal, restored(w.seed), w.length, s.limit)
	}
	if s.users > 0 {
		r.found, r.filled = found(journal, s.users)
	}
	return r
}

// capacity returns how many calls the true limit lets through in a run, the first burst apart.
func capacity(s scenario, w world) float64 {
	full := s.limit * w.length.Seconds()
	if w.length == shortLength {
		return full - s.limit/2*(shortRestored-shortHalved).Seconds()
	}
	if s.restored {
		full -= s.limit / 2 * (restored(w.seed) - halvedAt).Seconds()
	}
	return full
}

// regained returns how many seconds after a moment two seconds began, and ended, in which 80 % of the limit was used; in
// those of a low limit ten calls must fit.
func regained(journal []call, from, end time.Duration, limit float64) float64 {
	window := max(2*time.Second, time.Duration(10/limit*float64(time.Second)))
	need := int(math.Ceil(0.8*limit*window.Seconds() - 1e-9))
	var times []time.Duration
	for _, c := range journal {
		if !c.allowed || c.at < from {
			continue
		}
		times = append(times, c.at)
		for c.at-times[0] > window {
			times = times[1:]
		}
		if len(times) >= need {
			return (c.at - from).Seconds()
		}
	}
	return (end - from).Seconds()
}

// found counts the refused calls until calls carry nine tenths of the cap, and how full the served ones are from there on.
func found(journal []call, users int) (refused, filled float64) {
	served, carried := 0, 0
	for _, c := range journal {
		switch {
		case c.users > users && served == 0:
			refused++
		case c.allowed && (served > 0 || float64(c.users) >= 0.9*float64(users)):
			served++
			carried += c.users
		}
	}
	if served == 0 {
		return refused, 0
	}
	return refused, float64(carried) / float64(served*users)
}

// mean is the mean of several results.
func mean(results []result) result {
	var m result
	n := float64(len(results))
	for _, r := range results {
		m.used += r.used / n
		m.rejected += r.rejected / n
		m.regained += r.regained / n
		m.found += r.found / n
		m.filled += r.filled / n
	}
	return m
}

// play runs a scenario with one contender.
func play(s scenario, c contender, seed uint64) (result, []call) {
	w, st := s.world(seed), c.make(s, seed)
	journal := w.run(st)
	if s.again {
		journal = s.world(seed).run(later{st})
	}
	return measure(s, w, journal), journal
}

// later is a strategy that has worked for the length of a run before.
type later struct{ strategy }

func (l later) take(process int, now time.Duration) (permit, bool, time.Duration) {
	return l.strategy.take(process, now+runLength)
}

func (l later) report(process int, now time.Duration, p permit, limited bool, stated time.Duration) {
	l.strategy.report(process, now+runLength, p, limited, stated)
}

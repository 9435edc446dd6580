package ratelimit

import (
	"math"
	"time"
)

// micro is the unit of tokens and rates in the bucket: integers, so that Redis and Go count alike.
const micro = 1_000_000

// Timings of the bucket.
const (
	// lease is how long a probe or a trial may stay without a report before another takes its place: its worker may have
	// died, and until then nobody else calls. It may be shorter than a call takes: one more probe does no harm.
	lease = 10 * time.Second
	// probePoll is how soon to ask again while a probe is in flight.
	probePoll = 100 * time.Millisecond
	// longestStep is the time between steps at the lowest rate.
	longestStep = 200 * time.Second
	// burstTime bounds a burst: no more calls at once than the rate gives in this time.
	burstTime = time.Second
)

// Retry budget: a token bucket. A token comes with each second and with every retryShare fresh calls. A grant takes one,
// and a report of a fresh call returns it, so no more than retryBurst calls can be retries at once.
const (
	retryShare = 5
	retryBurst = 10
)

// view is what the bucket needs of the state: integers, as they stand in Redis.
type view struct {
	pace        int64 // microcalls a second
	pausedUntil Instant
	probe       bool
	epoch       int64
	size        int // users per call; 0 as configured
	trial       int // size that one call may try; 0 none
	every       int64
}

func viewOf(s State, now Instant, set Settings) view {
	v := view{
		pace:        MicroRate(s.Pace(now)),
		pausedUntil: s.PausedUntil,
		probe:       s.Probe,
		epoch:       s.Epoch,
		size:        s.Users.Size,
		every:       s.every().Microseconds(),
	}
	if s.Anchor == 0 || s.Settled && s.Rate <= s.Anchor || s.bounded(set) { // a pace that holds
		v.trial = s.Users.trial(now, set.MaxUsers)
	}
	return v
}

// MicroRate is a rate in the unit that states and buckets are kept in: millionths of a call a second.
func MicroRate(rate float64) int64 { return int64(math.Round(rate * micro)) }

// bucket is what changes with every call: redislimit keeps the same fields beside the state, and take.lua does the same
// arithmetic.
type bucket struct {
	tokens                 int64 // in millionths
	at                     Instant
	probeUntil, trialUntil Instant
	dueAt                  Instant
	count                  Counters
	retryTokens            int64 // in millionths
	retryAt                Instant
}

func (b *bucket) take(v view, now Instant, set Settings) Answer {
	b.catchUp(now)
	retry := b.retryBudget(now)
	a := Answer{Users: v.size, Retry: time.Duration(max(micro-retry, 0)) * time.Microsecond}
	if a.Users == 0 || a.Users > set.MaxUsers {
		a.Users = set.MaxUsers
	}
	a.Stamp.Epoch = v.epoch
	switch {
	case now < v.pausedUntil:
		a.Reason, a.Wait = Paused, v.pausedUntil.Sub(now)
		return a
	case v.probe && now < b.probeUntil:
		a.Reason, a.Wait = Probing, min(probePoll, b.probeUntil.Sub(now))
		return a
	case v.probe:
		b.probeUntil = now.Add(lease)
		a.Stamp.Probe = true
	default:
		if wait := b.pay(v, now, set); wait > 0 {
			a.Reason, a.Wait = Pace, wait
			return a
		}
		if v.trial > a.Users && now >= b.trialUntil {
			b.trialUntil = now.Add(lease)
			a.Users = min(v.trial, set.MaxUsers)
			a.Stamp.Trial = a.Users
		}
		if now >= b.dueAt {
			b.dueAt = now + Instant(v.every)
			a.Stamp.Due = true
		}
	}
	a.Stamp.Taken = true
	b.count.Taken++
	if a.Stamp.Retry = a.Retry == 0; a.Stamp.Retry {
		b.retryTokens, b.retryAt = retry-micro, now
	}
	return a
}

// catchUp drops times that a clock has left too far in the future by going back: no call would be made until then.
func (b *bucket) catchUp(now Instant) {
	b.at, b.retryAt = min(b.at, now), min(b.retryAt, now)
	if b.probeUntil > now.Add(lease) {
		b.probeUntil = 0
	}
	if b.trialUntil > now.Add(lease) {
		b.trialUntil = 0
	}
	if b.dueAt > now.Add(longestStep) {
		b.dueAt = 0
	}
}

// pay takes a token, or says how long until there is one. Being refused changes nothing, so asking often costs nothing.
func (b *bucket) pay(v view, now Instant, set Settings) time.Duration {
	rate, full := flow(v, set)
	tokens := b.refilled(rate, full, now)
	if tokens < micro {
		return time.Duration(((micro-tokens)*micro+rate-1)/rate) * time.Microsecond
	}
	b.tokens, b.at = tokens-micro, now
	return 0
}

// flow is how fast tokens come, in microcalls a second, and how many there can be, in millionths.
func flow(v view, set Settings) (rate, full int64) {
	rate = min(v.pace, MicroRate(set.Rate))
	return rate, min(int64(set.Burst)*micro, max(micro, rate*int64(burstTime/time.Second)))
}

func (b *bucket) refilled(rate, full int64, now Instant) int64 {
	passed := max(int64(now-b.at), 0)
	if missing := max(full-b.tokens, 0); passed >= (missing*micro+rate-1)/rate {
		return full
	}
	return b.tokens + passed*rate/micro
}

// giveBack undoes a take that led to no call.
func (b *bucket) giveBack(st Stamp) {
	if !st.Taken {
		return
	}
	b.count.Taken--
	b.release(st)
	if st.Retry {
		b.retryTokens += micro
	}
	if !st.Probe {
		b.tokens += micro
	}
	if st.Due {
		b.dueAt = 0
	}
}

// release lets the next call be the probe, or the trial.
func (b *bucket) release(st Stamp) {
	if st.Probe {
		b.probeUntil = 0
	}
	if st.Trial > 0 {
		b.trialUntil = 0
	}
}

// empty restarts the bucket with no token, after a pause: calls saved up during it must not go at once.
func (b *bucket) empty(now Instant) { b.tokens, b.at, b.probeUntil = 0, now, 0 }

// reported counts a call's outcome.
func (b *bucket) reported(st Stamp, o Observation) {
	if o.Served {
		b.count.Served++
	}
	b.retryTokens += RetryTokens(st, o)
}

// retryBudget returns the tokens of the retry budget: one more a second, which is a millionth a microsecond.
func (b *bucket) retryBudget(now Instant) int64 {
	return min(max(b.retryTokens+int64(now-b.retryAt), 0), retryBurst*micro)
}

// RetryTokens returns what a reported call adds to the retry budget, in millionths of a token: a fresh call adds its share
// and the token that it was granted with; a call of retries that was granted without one takes one.
func RetryTokens(st Stamp, o Observation) int64 {
	switch {
	case !o.Retry && st.Retry:
		return micro/retryShare + micro
	case !o.Retry:
		return micro / retryShare
	case !st.Retry:
		return -micro
	default:
		return 0
	}
}

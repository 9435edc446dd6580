package limittest

import (
	"time"

	"github.com/wablock/wablock/ratelimit"
)

// micro is the unit of tokens and rates, as in the scripts.
const micro = 1_000_000

// Figures of take.lua.
const (
	// lease is the time that a probe or a trial may stay without a report before another takes its place: its worker may have
	// died, and no other calls go until then. It may be shorter than a call takes: one more probe does no harm.
	lease = 10 * time.Second
	// probePoll is the wait before asking again while a probe is in flight.
	probePoll = 100 * time.Millisecond
	// longestStep is the time between steps at the lowest rate.
	longestStep = 200 * time.Second
	// burstTime bounds a burst: no more calls at once than the rate gives in this time.
	burstTime = time.Second
	// retryBurst bounds the retry budget.
	retryBurst = 10
)

// bucket holds what changes with every call, and does the arithmetic of take.lua.
type bucket struct {
	tokens                 int64 // in millionths
	at                     ratelimit.Instant
	probeUntil, trialUntil ratelimit.Instant
	dueAt                  ratelimit.Instant
	count                  ratelimit.Counters
	retryTokens            int64 // in millionths
	retryAt                ratelimit.Instant
}

func (b *bucket) take(f ratelimit.Fields, now ratelimit.Instant, set ratelimit.Settings) ratelimit.Answer {
	b.catchUp(now)
	retry := b.retryBudget(now)
	size, trial := int(f[ratelimit.FieldSize]), int(f[ratelimit.FieldTrial])
	paused := ratelimit.Instant(f[ratelimit.FieldPaused])
	a := ratelimit.Answer{Users: size, Retry: time.Duration(max(micro-retry, 0)) * time.Microsecond}
	if a.Users == 0 || a.Users > set.MaxUsers {
		a.Users = set.MaxUsers
	}
	a.Stamp.Epoch = f[ratelimit.FieldEpoch]
	switch {
	case now < paused:
		a.Reason, a.Wait = ratelimit.Paused, paused.Sub(now)
		return a
	case f[ratelimit.FieldProbe] == 1 && now < b.probeUntil:
		a.Reason, a.Wait = ratelimit.Probing, min(probePoll, b.probeUntil.Sub(now))
		return a
	case f[ratelimit.FieldProbe] == 1:
		b.probeUntil = now.Add(lease)
		a.Stamp.Probe = true
	default:
		if wait := b.pay(f[ratelimit.FieldPace], now, set); wait > 0 {
			a.Reason, a.Wait = ratelimit.Pace, wait
			return a
		}
		if trial > a.Users && now >= b.trialUntil {
			b.trialUntil = now.Add(lease)
			a.Users = min(trial, set.MaxUsers)
			a.Stamp.Trial = a.Users
		}
		if now >= b.dueAt {
			b.dueAt = now + ratelimit.Instant(f[ratelimit.FieldEvery])
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
func (b *bucket) catchUp(now ratelimit.Instant) {
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

// pay takes a token, or returns the time until there is one. Being refused changes nothing, so asking often costs nothing.
func (b *bucket) pay(pace int64, now ratelimit.Instant, set ratelimit.Settings) time.Duration {
	rate := min(pace, ratelimit.MicroRate(set.Rate))
	full := min(int64(set.Burst)*micro, max(micro, rate*int64(burstTime/time.Second)))
	tokens := b.refilled(rate, full, now)
	if tokens < micro {
		return time.Duration(((micro-tokens)*micro+rate-1)/rate) * time.Microsecond
	}
	b.tokens, b.at = tokens-micro, now
	return 0
}

// refilled returns the tokens, in millionths, at a rate in microcalls a second.
func (b *bucket) refilled(rate, full int64, now ratelimit.Instant) int64 {
	passed := max(int64(now-b.at), 0)
	if missing := max(full-b.tokens, 0); passed >= (missing*micro+rate-1)/rate {
		return full
	}
	return b.tokens + passed*rate/micro
}

// giveBack undoes a take for a call that is not made.
func (b *bucket) giveBack(st ratelimit.Stamp) {
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
func (b *bucket) release(st ratelimit.Stamp) {
	if st.Probe {
		b.probeUntil = 0
	}
	if st.Trial > 0 {
		b.trialUntil = 0
	}
}

// restart starts the bucket anew after a pause.
func (b *bucket) restart(tokens int64, now ratelimit.Instant) {
	b.tokens, b.at, b.probeUntil = tokens, now, 0
}

// reported counts a call's outcome.
func (b *bucket) reported(st ratelimit.Stamp, o ratelimit.Observation) {
	if o.Served {
		b.count.Served++
	}
	b.retryTokens += ratelimit.RetryTokens(st, o)
}

// retryBudget returns the tokens of the retry budget: one more a second, which is a millionth a microsecond.
func (b *bucket) retryBudget(now ratelimit.Instant) int64 {
	return min(max(b.retryTokens+int64(now-b.retryAt), 0), retryBurst*micro)
}

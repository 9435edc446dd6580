package redislimit

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/wablock/wablock/ratelimit"
)

// ceilings hold this process alone to the configured rates, so that a Redis that has lost its data cannot release every
// worker at once. Safe for concurrent use.
type ceilings struct {
	mu   sync.Mutex
	byID swept[*rate.Limiter] // by phone number ID; guarded by mu
}

func newCeilings() *ceilings {
	// A bucket that is full again is as good as a new one.
	full := func(l *rate.Limiter, now time.Time) bool { return l.TokensAt(now) >= float64(l.Burst()) }
	return &ceilings{byID: newSwept(full)}
}

// acquire takes a token, or returns how long until there is one.
func (c *ceilings) acquire(phoneNumberID string, set ratelimit.Settings, now time.Time) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reserved := c.limiter(phoneNumberID, set, now).ReserveN(now, 1)
	if wait = reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

// release returns a token for a call that is not made.
func (c *ceilings) release(phoneNumberID string, set ratelimit.Settings, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A Reservation can be cancelled in its own instant alone; a negative event returns a token at any time. What goes
	// beyond the burst is cut off when the limiter is next used.
	c.limiter(phoneNumberID, set, now).AllowN(now, -1)
}

// limiter requires c.mu held.
func (c *ceilings) limiter(phoneNumberID string, set ratelimit.Settings, now time.Time) *rate.Limiter {
	l := c.byID.entries[phoneNumberID]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(set.Rate), set.Burst)
		c.byID.put(phoneNumberID, l, now)
	}
	if l.Limit() != rate.Limit(set.Rate) || l.Burst() != set.Burst {
		l.SetLimitAt(now, rate.Limit(set.Rate))
		l.SetBurstAt(now, set.Burst)
	}
	return l
}

// tally counts reports that Redis has not been told of. What a process that dies has not told is lost: the law then
// measures a little less goodput for one step.
type tally struct {
	served      int64
	retryTokens int64     // see ratelimit.RetryTokens
	at          time.Time // of the last report; zero when there was none
}

// tallyLife is the time that an untold report may matter: by then the retry budget has filled up again.
const tallyLife = time.Minute

func (t tally) stale(now time.Time) bool { return now.Sub(t.at) > tallyLife }

func tallyOf(st ratelimit.Stamp, o ratelimit.Observation, now time.Time) tally {
	return tally{served: int64(flag(o.Served)), retryTokens: ratelimit.RetryTokens(st, o), at: now}
}

// tallies keep one tally for each Redis key. Safe for concurrent use.
type tallies struct {
	mu    sync.Mutex
	byKey swept[tally] // guarded by mu
}

func newTallies() *tallies { return &tallies{byKey: newSwept(tally.stale)} }

// add counts t: a new report, or what could not be told to Redis.
func (s *tallies) add(key string, t tally, now time.Time) {
	if t.at.IsZero() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.byKey.entries[key]
	t.served, t.retryTokens = t.served+have.served, t.retryTokens+have.retryTokens
	if have.at.After(t.at) {
		t.at = have.at
	}
	s.byKey.put(key, t, now)
}

// collect takes what is to be told of key; add returns it when the telling failed.
func (s *tallies) collect(key string) tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.byKey.entries[key]
	delete(s.byKey.entries, key)
	return t
}

// sweepFrom is the number of entries that a swept map may hold before it looks for useless ones.
const sweepFrom = 256

// swept is a map that drops its useless entries whenever it has doubled since it last did. So memory follows what is in
// use, though keys come and go for ever, without a goroutine and at little cost for each new key.
type swept[V any] struct {
	entries map[string]V
	useless func(v V, now time.Time) bool
	next    int // size at which to sweep again
}

func newSwept[V any](useless func(v V, now time.Time) bool) swept[V] {
	return swept[V]{entries: map[string]V{}, useless: useless, next: sweepFrom}
}

func (s *swept[V]) put(key string, v V, now time.Time) {
	if _, known := s.entries[key]; !known && len(s.entries) >= s.next {
		maps.DeleteFunc(s.entries, func(_ string, v V) bool { return s.useless(v, now) })
		s.next = max(2*len(s.entries), sweepFrom)
	}
	s.entries[key] = v
}

package redislimit

import (
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
)

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

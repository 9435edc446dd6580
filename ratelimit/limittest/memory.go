package limittest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/wablock/wablock/ratelimit"
)

// Memory is a [ratelimit.Limiter] without Redis. Its zero value is not valid; see [NewMemory].
type Memory struct {
	settings func(phoneNumberID string) ratelimit.Settings
	now      func() time.Time
	jitter   func() float64

	mu     sync.Mutex
	limits map[string]*limit // by phone number ID, and by "account:" and account; guarded by mu
}

// MemoryConfig tunes a Memory. The zero value works.
type MemoryConfig struct {
	Now    func() time.Time // clock; default time.Now
	Jitter func() float64   // in [0, 1), for pauses; default random
}

// NewMemory returns a limiter that knows nothing yet. settings returns what is configured for a phone number ID; nil means
// the defaults for all. It is called with every Take and must be fast.
func NewMemory(settings func(phoneNumberID string) ratelimit.Settings, cfg MemoryConfig) *Memory {
	if settings == nil {
		settings = func(string) ratelimit.Settings { return ratelimit.Settings{} }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	return &Memory{settings: settings, now: cfg.Now, jitter: cfg.Jitter, limits: map[string]*limit{}}
}

// Take implements [ratelimit.Limiter].
func (m *Memory) Take(_ context.Context, key ratelimit.Key) (ratelimit.Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := ratelimit.At(m.now())
	phone := m.phone(key, now)
	a := phone.take(now)
	phone.heldBy(a, key)
	if key.Account == "" {
		g := ratelimit.Join(a, nil)
		g.At = m.now()
		return g, nil
	}
	account := m.account(key, now)
	b := account.take(now)
	account.heldBy(b, key)
	g := ratelimit.Join(a, &b)
	g.At = m.now()
	if !g.OK { // one of the two may have given a token
		phone.bucket.giveBack(a.Stamp)
		account.bucket.giveBack(b.Stamp)
	}
	return g, nil
}

// Cancel implements [ratelimit.Limiter].
func (m *Memory) Cancel(_ context.Context, key ratelimit.Key, g ratelimit.Grant) error {
	if !g.OK { // nothing is held
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := ratelimit.At(m.now())
	m.phone(key, now).bucket.giveBack(g.Phone)
	if key.Account != "" {
		m.account(key, now).bucket.giveBack(g.Account)
	}
	return nil
}

// Report implements [ratelimit.Limiter].
func (m *Memory) Report(_ context.Context, key ratelimit.Key, g ratelimit.Grant, o ratelimit.Observation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := ratelimit.At(m.now())
	took := m.now().Sub(g.At)
	m.phone(key, now).report(g.Phone, o.ForPhone(), took, m.jitter, now)
	if key.Account != "" {
		m.account(key, now).report(g.Account, o.ForAccount(), took, m.jitter, now)
	}
	return nil
}

// GiveUp implements [ratelimit.Limiter].
func (m *Memory) GiveUp(_ context.Context, key ratelimit.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := ratelimit.At(m.now())
	m.phone(key, now).giveUp(key)
	if key.Account != "" {
		m.account(key, now).giveUp(key)
	}
	return nil
}

// limit is one bucket and what the law knows of it.
type limit struct {
	state  ratelimit.State
	fields ratelimit.Fields // of the state, as the scripts see them
	set    ratelimit.Settings
	bucket bucket
	prober string // worker that holds the probe
}

func (l *limit) heldBy(a ratelimit.Answer, key ratelimit.Key) {
	if a.Stamp.Probe {
		l.prober = key.Worker
	}
}

func (l *limit) giveUp(key ratelimit.Key) {
	if l.prober == key.Worker {
		l.prober, l.bucket.probeUntil = "", 0
	}
}

func (l *limit) take(now ratelimit.Instant) ratelimit.Answer {
	if s := &l.state; now < s.PausedFrom && now < s.PausedUntil { // the clock has gone back
		s.PausedFrom, s.PausedUntil = now, now+s.PausedUntil-s.PausedFrom
		l.fields[ratelimit.FieldPaused] = int64(s.PausedUntil)
	}
	return l.bucket.take(l.fields, now, l.set)
}

func (l *limit) report(st ratelimit.Stamp, o ratelimit.Observation, took time.Duration, jitter func() float64, now ratelimit.Instant) {
	l.bucket.reported(st, o)
	l.bucket.release(st)
	if !ratelimit.Matters(st, o) {
		return
	}
	l.become(ratelimit.Next(l.state, ratelimit.EventOf(st, o, l.bucket.count, took, jitter()), now, l.set), now)
}

func (l *limit) become(s ratelimit.State, now ratelimit.Instant) {
	before := l.state
	l.state = s
	l.fields = ratelimit.Encode(l.state, now, l.set)
	if tokens, restart := ratelimit.Restart(before, l.state); restart {
		l.bucket.restart(tokens, now)
	}
}

func (m *Memory) phone(key ratelimit.Key, now ratelimit.Instant) *limit {
	set := m.settings(key.PhoneNumberID).WithDefaults()
	return m.limit(key.PhoneNumberID, now, set, ratelimit.Start)
}

func (m *Memory) account(key ratelimit.Key, now ratelimit.Instant) *limit {
	return m.limit("account:"+key.Account, now, ratelimit.AccountSettings(), ratelimit.Unlimited)
}

func (m *Memory) limit(name string, now ratelimit.Instant, set ratelimit.Settings, initial func(ratelimit.Instant, ratelimit.Settings) ratelimit.State) *limit {
	l := m.limits[name]
	if l == nil {
		l = &limit{set: set, state: initial(now, set)}
		l.fields = ratelimit.Encode(l.state, now, set)
		m.limits[name] = l
	}
	l.set = set
	return l
}

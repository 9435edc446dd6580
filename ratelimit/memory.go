package ratelimit

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Memory is a [Limiter] for one process: what redislimit does, without Redis, and forgotten when the process ends. Its
// zero value is not valid; see [NewMemory].
type Memory struct {
	settings func(phoneNumberID string) Settings
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

// NewMemory returns a limiter that knows nothing yet. settings says what is configured for a phone number ID; nil means
// the defaults for all. It is called with every Take and must be fast.
func NewMemory(settings func(phoneNumberID string) Settings, cfg MemoryConfig) *Memory {
	if settings == nil {
		settings = func(string) Settings { return Settings{} }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Float64
	}
	return &Memory{settings: settings, now: cfg.Now, jitter: cfg.Jitter, limits: map[string]*limit{}}
}

// Take implements [Limiter].
func (m *Memory) Take(_ context.Context, key Key) (Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := At(m.now())
	phone := m.phone(key, now)
	a := phone.take(now)
	if key.Account == "" {
		return Join(a, nil), nil
	}
	account := m.account(key, now)
	b := account.take(now)
	g := Join(a, &b)
	if !g.OK { // one of the two may have given a token
		phone.bucket.giveBack(a.Stamp)
		account.bucket.giveBack(b.Stamp)
	}
	return g, nil
}

// Cancel implements [Limiter].
func (m *Memory) Cancel(_ context.Context, key Key, g Grant) error {
	if !g.OK { // nothing is held
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := At(m.now())
	m.phone(key, now).bucket.giveBack(g.Phone)
	if key.Account != "" {
		m.account(key, now).bucket.giveBack(g.Account)
	}
	return nil
}

// Report implements [Limiter].
func (m *Memory) Report(_ context.Context, key Key, g Grant, o Observation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := At(m.now())
	m.phone(key, now).report(g.Phone, o.ForPhone(), m.jitter, now)
	if key.Account != "" {
		m.account(key, now).report(g.Account, o.ForAccount(), m.jitter, now)
	}
	return nil
}

// limit is one bucket and what the law knows of it.
type limit struct {
	state  State
	view   view
	set    Settings
	bucket bucket
}

func (l *limit) take(now Instant) Answer {
	l.state = l.state.caughtUp(now)
	l.view.pausedUntil = l.state.PausedUntil
	return l.bucket.take(l.view, now, l.set)
}

func (l *limit) report(st Stamp, o Observation, jitter func() float64, now Instant) {
	l.bucket.reported(st, o)
	l.bucket.release(st)
	if !Matters(st, o) {
		return
	}
	l.become(Next(l.state, EventOf(st, o, l.bucket.count, jitter()), now, l.set), now)
}

func (l *limit) become(s State, now Instant) {
	before := l.state
	l.state = s
	l.view = viewOf(l.state, now, l.set)
	if Restarts(before, l.state) {
		l.bucket.empty(now)
	}
}

func (m *Memory) phone(key Key, now Instant) *limit {
	set := m.settings(key.PhoneNumberID).WithDefaults()
	return m.limit(key.PhoneNumberID, now, set, Start)
}

func (m *Memory) account(key Key, now Instant) *limit {
	return m.limit("account:"+key.Account, now, AccountSettings(), Unlimited)
}

func (m *Memory) limit(name string, now Instant, set Settings, initial func(Instant, Settings) State) *limit {
	l := m.limits[name]
	if l == nil {
		l = &limit{set: set, state: initial(now, set)}
		l.view = viewOf(l.state, now, set)
		m.limits[name] = l
	}
	l.set = set
	return l
}

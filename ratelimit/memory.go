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

type limit struct {
	state  State
	bucket bucket
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
	set := m.settings(key.PhoneNumberID).WithDefaults()
	phone := m.phone(key, now, set)
	a := phone.bucket.take(viewOf(phone.state, now, set), now, set)
	if key.Account == "" {
		return grantOf(a, nil), nil
	}
	account := m.account(key, now)
	b := account.bucket.take(viewOf(account.state, now, accountSettings(set)), now, accountSettings(set))
	g := grantOf(a, &b)
	if !g.OK { // one of the two may have been taken
		phone.bucket.giveBack(a.stamp)
		account.bucket.giveBack(b.stamp)
	}
	return g, nil
}

// Cancel implements [Limiter].
func (m *Memory) Cancel(_ context.Context, key Key, g Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := At(m.now())
	set := m.settings(key.PhoneNumberID).WithDefaults()
	m.phone(key, now, set).bucket.giveBack(g.phone)
	if key.Account != "" {
		m.account(key, now).bucket.giveBack(g.account)
	}
	return nil
}

// Report implements [Limiter].
func (m *Memory) Report(_ context.Context, key Key, g Grant, o Observation) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := At(m.now())
	set := m.settings(key.PhoneNumberID).WithDefaults()
	m.phone(key, now, set).report(g.phone, phonePart(o), m.jitter(), now, set)
	if key.Account != "" {
		m.account(key, now).report(g.account, accountPart(o), m.jitter(), now, accountSettings(set))
	}
	return nil
}

func (l *limit) report(st stamp, o Observation, jitter float64, now Instant, set Settings) {
	l.bucket.reported(o, now)
	l.bucket.release(st)
	before := l.state
	l.state = Next(before, eventOf(st, o, l.bucket.count, jitter), now, set)
	if restarts(before, l.state) {
		l.bucket.empty(now)
	}
}

func (m *Memory) phone(key Key, now Instant, set Settings) *limit {
	return m.limit(key.PhoneNumberID, func() State { return Start(now, set) })
}

func (m *Memory) account(key Key, now Instant) *limit {
	return m.limit("account:"+key.Account, func() State { return Unlimited(now) })
}

func (m *Memory) limit(name string, initial func() State) *limit {
	l := m.limits[name]
	if l == nil {
		l = &limit{state: initial()}
		m.limits[name] = l
	}
	return l
}

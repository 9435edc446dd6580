package redislimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/wablock/wablock/ratelimit"
)

// stateTTL is how long an unused limit is remembered.
const stateTTL = 30 * 24 * time.Hour

// Limiter is a [ratelimit.Limiter] shared through Redis. Safe for concurrent use; it starts no goroutine and needs no
// closing.
type Limiter struct {
	rdb      redis.UniversalClient
	settings func(phoneNumberID string) ratelimit.Settings
	scripts  scripts
	jitter   func() float64
	now      func() time.Time // for the fences; all else runs on Redis's clock

	mu      sync.Mutex
	tallies map[string]tally         // by Redis key: reports not yet told to Redis; guarded by mu
	fences  map[string]*rate.Limiter // by phone number ID; guarded by mu
}

var _ ratelimit.Limiter = (*Limiter)(nil)

// New returns a limiter on rdb. settings says what is configured for a phone number ID; nil means the defaults for all.
// It is called with every Take and must be fast.
func New(rdb redis.UniversalClient, settings func(phoneNumberID string) ratelimit.Settings) *Limiter {
	if settings == nil {
		settings = func(string) ratelimit.Settings { return ratelimit.Settings{} }
	}
	return &Limiter{
		rdb: rdb, settings: settings, scripts: newScripts(), jitter: rand.Float64, now: time.Now,
		tallies: map[string]tally{}, fences: map[string]*rate.Limiter{},
	}
}

// target is one bucket in Redis and how it starts.
type target struct {
	key     string
	set     ratelimit.Settings
	initial func(ratelimit.Instant, ratelimit.Settings) ratelimit.State
}

func (l *Limiter) phone(phoneNumberID string) target {
	return target{
		key: PhoneKey(phoneNumberID), set: l.settings(phoneNumberID).WithDefaults(), initial: ratelimit.Start,
	}
}

func account(id string) target {
	return target{key: AccountKey(id), set: ratelimit.AccountSettings(), initial: ratelimit.Unlimited}
}

// PhoneKey is the Redis key of a phone number ID's limit.
func PhoneKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:limit" }

// AccountKey is the Redis key of an account's limit.
func AccountKey(id string) string { return "wablock:{account:" + id + "}:limit" }

// Take implements [ratelimit.Limiter] in one round trip. The configured ceiling is held in this process as well, so that
// a Redis that has lost its data cannot let every worker loose at once.
func (l *Limiter) Take(ctx context.Context, key ratelimit.Key) (ratelimit.Grant, error) {
	phone := l.phone(key.PhoneNumberID)
	now := l.now()
	reserved := l.fence(key.PhoneNumberID, phone.set).ReserveN(now, 1)
	if wait := reserved.DelayFrom(now); wait > 0 {
		reserved.CancelAt(now)
		return ratelimit.Grant{Wait: wait, Reason: ratelimit.Ceiling, MaxUsers: phone.set.MaxUsers}, nil
	}
	g, err := l.take(ctx, phone, key.Account)
	if err != nil {
		reserved.CancelAt(now)
		return ratelimit.Grant{}, fmt.Errorf("redislimit: take: no leave to call without Redis: %w", err)
	}
	if !g.OK {
		reserved.CancelAt(now)
	}
	return g, nil
}

func (l *Limiter) take(ctx context.Context, phone target, accountID string) (ratelimit.Grant, error) {
	targets := []target{phone}
	if accountID != "" {
		targets = append(targets, account(accountID))
	}
	answers, err := l.ask(ctx, targets)
	if err != nil {
		return ratelimit.Grant{}, err
	}
	if accountID == "" {
		return ratelimit.Join(answers[0], nil), nil
	}
	g := ratelimit.Join(answers[0], &answers[1])
	if !g.OK {
		for i, a := range answers {
			if err := l.giveBack(ctx, targets[i].key, a.Stamp); err != nil {
				return ratelimit.Grant{}, err
			}
		}
	}
	return g, nil
}

// ask puts the question to each bucket.
func (l *Limiter) ask(ctx context.Context, targets []target) ([]ratelimit.Answer, error) {
	calls := make([]invocation, len(targets))
	told := make([]tally, len(targets))
	for i, t := range targets {
		told[i] = l.collect(t.key)
		calls[i] = invocation{t.key, t.takeArgs(told[i])}
	}
	cmds, err := runAll(ctx, l.rdb, l.scripts.take, calls)
	if err != nil {
		for i, t := range targets {
			l.restore(t.key, told[i])
		}
		return nil, err
	}
	answers := make([]ratelimit.Answer, len(targets))
	for i, cmd := range cmds {
		v, err := integers(cmd, 8)
		if err != nil {
			return nil, err
		}
		answers[i] = ratelimit.Answer{
			Reason: ratelimit.Reason(v[0]), Wait: time.Duration(v[1]) * time.Microsecond, Users: int(v[2]), Fresh: v[3] == 1,
			Stamp: ratelimit.Stamp{Epoch: v[4], Probe: v[5] == 1, Trial: int(v[6]), Due: v[7] == 1, Taken: v[0] == 0},
		}
	}
	return answers, nil
}

func (t target) takeArgs(told tally) []any {
	start := t.initial(0, t.set).Encode(0, t.set)
	return []any{
		ratelimit.MicroRate(t.set.Rate), t.set.Burst, t.set.MaxUsers,
		start[ratelimit.FieldPace], start[ratelimit.FieldProbe], start[ratelimit.FieldEvery],
		told.served, told.calls, told.retries, int(stateTTL.Seconds()),
	}
}

// Cancel implements [ratelimit.Limiter].
func (l *Limiter) Cancel(ctx context.Context, key ratelimit.Key, g ratelimit.Grant) error {
	err := l.giveBack(ctx, PhoneKey(key.PhoneNumberID), g.Phone)
	if err == nil && key.Account != "" {
		err = l.giveBack(ctx, AccountKey(key.Account), g.Account)
	}
	if err != nil {
		return fmt.Errorf("redislimit: cancel: %w", err)
	}
	return nil
}

func (l *Limiter) giveBack(ctx context.Context, key string, st ratelimit.Stamp) error {
	if !st.Taken {
		return nil
	}
	return l.scripts.cancel.Run(ctx, l.rdb, []string{key}, flag(st.Probe), flag(st.Trial > 0), flag(st.Due)).Err()
}

// fence is the ceiling of this process alone.
func (l *Limiter) fence(phoneNumberID string, set ratelimit.Settings) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fences[phoneNumberID]
	if f == nil {
		f = rate.NewLimiter(rate.Limit(set.Rate), set.Burst)
		l.fences[phoneNumberID] = f
	}
	if f.Limit() != rate.Limit(set.Rate) || f.Burst() != set.Burst {
		f.SetLimit(rate.Limit(set.Rate))
		f.SetBurst(set.Burst)
	}
	return f
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

package redislimit

import (
	"context"
	"errors"
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
	tallies swept[tally]         // by Redis key: reports not yet told to Redis; guarded by mu
	fences  swept[*rate.Limiter] // by phone number ID; guarded by mu
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
		tallies: newSwept(tally.stale), fences: newSwept(fullFence),
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
	if wait := l.enter(key.PhoneNumberID, phone.set); wait > 0 {
		return ratelimit.Grant{Wait: wait, Reason: ratelimit.Ceiling, MaxUsers: phone.set.MaxUsers}, nil
	}
	g, err := l.take(ctx, phone, key.Account)
	if err != nil {
		err = fmt.Errorf("redislimit: take: no leave to call without Redis: %w", err)
	}
	if !g.OK {
		l.leave(key.PhoneNumberID, phone.set)
	}
	return g, err
}

func (l *Limiter) take(ctx context.Context, phone target, accountID string) (ratelimit.Grant, error) {
	targets := []target{phone}
	if accountID != "" {
		targets = append(targets, account(accountID))
	}
	var g ratelimit.Grant
	answers, err := l.ask(ctx, targets)
	if err == nil {
		var second *ratelimit.Answer
		if accountID != "" {
			second = &answers[1]
		}
		if g = ratelimit.Join(answers[0], second); g.OK {
			return g, nil
		}
	}
	for i, a := range answers { // one of the two may have given a token
		if failed := l.giveBack(ctx, targets[i].key, a.Stamp); failed != nil && err == nil {
			err = failed
		}
	}
	if err != nil {
		return ratelimit.Grant{}, err
	}
	return g, nil
}

// ask puts the question to each bucket. With an error, the first that there was, come the answers of those that did answer.
func (l *Limiter) ask(ctx context.Context, targets []target) ([]ratelimit.Answer, error) {
	calls := make([]invocation, len(targets))
	told := make([]tally, len(targets))
	for i, t := range targets {
		told[i] = l.collect(t.key)
		calls[i] = invocation{t.key, t.takeArgs(told[i])}
	}
	answers := make([]ratelimit.Answer, len(targets))
	var first error
	for i, cmd := range runAll(ctx, l.rdb, l.scripts.take, calls) {
		if cmd.Err() != nil {
			l.restore(targets[i].key, told[i])
		}
		var err error
		if answers[i], err = readAnswer(cmd); err != nil && first == nil {
			first = err
		}
	}
	return answers, first
}

func readAnswer(cmd *redis.Cmd) (ratelimit.Answer, error) {
	v, err := integers(cmd, 9)
	if err != nil {
		return ratelimit.Answer{}, err
	}
	return ratelimit.Answer{
		Reason: ratelimit.Reason(v[0]), Wait: time.Duration(v[1]) * time.Microsecond, Users: int(v[2]),
		Retry: time.Duration(v[3]) * time.Microsecond,
		Stamp: ratelimit.Stamp{
			Epoch: v[4], Probe: v[5] == 1, Trial: int(v[6]), Due: v[7] == 1, Taken: v[0] == 0, Retry: v[8] == 1,
		},
	}, nil
}

func (t target) takeArgs(told tally) []any {
	start := t.initial(0, t.set).Encode(0, t.set)
	return []any{
		ratelimit.MicroRate(t.set.Rate), t.set.Burst, t.set.MaxUsers,
		start[ratelimit.FieldPace], start[ratelimit.FieldProbe], start[ratelimit.FieldEvery],
		told.served, told.retryTokens, int(stateTTL.Seconds()),
	}
}

// Cancel implements [ratelimit.Limiter]. What of it fails is lost until it comes back with time.
func (l *Limiter) Cancel(ctx context.Context, key ratelimit.Key, g ratelimit.Grant) error {
	if !g.OK { // nothing is held
		return nil
	}
	l.leave(key.PhoneNumberID, l.phone(key.PhoneNumberID).set)
	err := l.giveBack(ctx, PhoneKey(key.PhoneNumberID), g.Phone)
	if key.Account != "" {
		err = errors.Join(err, l.giveBack(ctx, AccountKey(key.Account), g.Account))
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
	return l.scripts.cancel.Run(ctx, l.rdb, []string{key},
		flag(st.Probe), flag(st.Trial > 0), flag(st.Due), flag(st.Retry)).Err()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

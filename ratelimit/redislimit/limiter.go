package redislimit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
)

//go:embed lua/take.lua
var takeSource string

//go:embed lua/cancel.lua
var cancelSource string

//go:embed lua/give_up.lua
var giveUpSource string

// Limiter is a [ratelimit.Limiter] shared through Redis. Safe for concurrent use; it starts no goroutine and needs no
// closing.
type Limiter struct {
	settings func(phoneNumberID string) ratelimit.Settings
	rdb      redis.UniversalClient
	store    store
	tallies  *tallies
	ceilings *ceilings
	jitter   func() float64
	now      func() time.Time // for tallies and ceilings; all else runs on Redis's clock

	takeScript, cancelScript, giveUpScript *redis.Script
}

var _ ratelimit.Limiter = (*Limiter)(nil)

// New returns a limiter on rdb. settings returns what is configured for a phone number ID; nil means the defaults for
// all. It is called with every Take and must be fast.
func New(rdb redis.UniversalClient, settings func(phoneNumberID string) ratelimit.Settings) *Limiter {
	if settings == nil {
		settings = func(string) ratelimit.Settings { return ratelimit.Settings{} }
	}
	return &Limiter{
		settings: settings, rdb: rdb, store: newStore(rdb), tallies: newTallies(), ceilings: newCeilings(),
		jitter: rand.Float64, now: time.Now,
		takeScript: redis.NewScript(takeSource), cancelScript: redis.NewScript(cancelSource),
		giveUpScript: redis.NewScript(giveUpSource),
	}
}

// PhoneKey returns the Redis key of a phone number ID's limit.
func PhoneKey(phoneNumberID string) string { return "wablock:{" + phoneNumberID + "}:limit" }

// AccountKey returns the Redis key of an account's limit.
func AccountKey(id string) string { return "wablock:{account:" + id + "}:limit" }

// bucket is one limit in Redis and how it starts.
type bucket struct {
	key     string
	set     ratelimit.Settings
	initial func(ratelimit.Instant, ratelimit.Settings) ratelimit.State
}

func (l *Limiter) phone(phoneNumberID string) bucket {
	return bucket{
		key: PhoneKey(phoneNumberID), set: l.settings(phoneNumberID).WithDefaults(), initial: ratelimit.Start,
	}
}

func account(id string) bucket {
	return bucket{key: AccountKey(id), set: ratelimit.AccountSettings(), initial: ratelimit.Unlimited}
}

// Take implements [ratelimit.Limiter] in one round trip. The configured ceiling is held in this process as well.
func (l *Limiter) Take(ctx context.Context, key ratelimit.Key) (ratelimit.Grant, error) {
	phone := l.phone(key.PhoneNumberID)
	if wait := l.ceilings.acquire(key.PhoneNumberID, phone.set, l.now()); wait > 0 {
		return ratelimit.Grant{Wait: wait, Reason: ratelimit.Ceiling, MaxUsers: phone.set.MaxUsers}, nil
	}
	g, err := l.take(ctx, phone, key)
	if err != nil {
		err = fmt.Errorf("redislimit: take: no call is allowed without Redis: %w", err)
	}
	g.At = l.now()
	if !g.OK {
		l.ceilings.release(key.PhoneNumberID, phone.set, l.now())
	}
	return g, err
}

func (l *Limiter) take(ctx context.Context, phone bucket, key ratelimit.Key) (ratelimit.Grant, error) {
	buckets := []bucket{phone}
	if key.Account != "" {
		buckets = append(buckets, account(key.Account))
	}
	told := make([]tally, len(buckets))
	for i, b := range buckets {
		told[i] = l.tallies.collect(b.key)
	}
	answers, errs := l.ask(ctx, buckets, told, numberOf(key.Worker))
	for i, err := range errs {
		if err != nil {
			l.tallies.add(buckets[i].key, told[i], l.now())
		}
	}
	err := errors.Join(errs...)
	var g ratelimit.Grant
	if err == nil {
		var second *ratelimit.Answer
		if key.Account != "" {
			second = &answers[1]
		}
		if g = ratelimit.Join(answers[0], second); g.OK {
			return g, nil
		}
	}
	for i, a := range answers { // one of the two may have given a token
		err = errors.Join(err, l.giveBack(ctx, buckets[i].key, a.Stamp))
	}
	if err != nil {
		return ratelimit.Grant{}, err
	}
	return g, nil
}

// ask asks each bucket for one call and tells it its tally, in one round trip; again with the script's text where Redis
// does not know it yet. The keys may lie in different cluster slots: each answer has an error of its own.
func (l *Limiter) ask(ctx context.Context, buckets []bucket, told []tally, worker int64) ([]ratelimit.Answer, []error) {
	cmds := make([]*redis.Cmd, len(buckets))
	args := func(i int) []any { return buckets[i].takeArgs(told[i], worker) }
	if len(buckets) == 1 {
		cmds[0] = l.takeScript.Run(ctx, l.rdb, []string{buckets[0].key}, args(0)...)
	} else {
		_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error { // its error is that of one of the commands
			for i, b := range buckets {
				cmds[i] = l.takeScript.EvalSha(ctx, p, []string{b.key}, args(i)...)
			}
			return nil
		})
		for i, b := range buckets {
			if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
				cmds[i] = l.takeScript.Eval(ctx, l.rdb, []string{b.key}, args(i)...)
			}
		}
	}
	answers, errs := make([]ratelimit.Answer, len(buckets)), make([]error, len(buckets))
	for i, cmd := range cmds {
		answers[i], errs[i] = readAnswer(cmd)
	}
	return answers, errs
}

func (b bucket) takeArgs(told tally, worker int64) []any {
	start := ratelimit.Encode(b.initial(0, b.set), 0, b.set)
	return []any{
		ratelimit.MicroRate(b.set.Rate), b.set.Burst, b.set.MaxUsers,
		start[ratelimit.FieldPace], start[ratelimit.FieldProbe], start[ratelimit.FieldEvery],
		told.served, told.retryTokens, int(stateTTL.Seconds()), worker,
	}
}

func readAnswer(cmd *redis.Cmd) (ratelimit.Answer, error) {
	v, err := cmd.Int64Slice()
	if err != nil {
		return ratelimit.Answer{}, err
	}
	if len(v) != 9 {
		return ratelimit.Answer{}, fmt.Errorf("take.lua returned %d values, not 9", len(v))
	}
	return ratelimit.Answer{
		Reason: ratelimit.Reason(v[0]), Wait: time.Duration(v[1]) * time.Microsecond, Users: int(v[2]),
		Retry: time.Duration(v[3]) * time.Microsecond,
		Stamp: ratelimit.Stamp{
			Epoch: v[4], Probe: v[5] == 1, Trial: int(v[6]), Due: v[7] == 1, Taken: v[0] == 0, Retry: v[8] == 1,
		},
	}, nil
}

// giveBack returns what a bucket gave for a call that is not made.
func (l *Limiter) giveBack(ctx context.Context, key string, st ratelimit.Stamp) error {
	if !st.Taken {
		return nil
	}
	return l.cancelScript.Run(ctx, l.rdb, []string{key},
		flag(st.Probe), flag(st.Trial > 0), flag(st.Due), flag(st.Retry)).Err()
}

// Cancel implements [ratelimit.Limiter]. What of it fails is lost until it comes back with time.
func (l *Limiter) Cancel(ctx context.Context, key ratelimit.Key, g ratelimit.Grant) error {
	if !g.OK { // nothing is held
		return nil
	}
	l.ceilings.release(key.PhoneNumberID, l.settings(key.PhoneNumberID).WithDefaults(), l.now())
	err := l.giveBack(ctx, PhoneKey(key.PhoneNumberID), g.Phone)
	if key.Account != "" {
		err = errors.Join(err, l.giveBack(ctx, AccountKey(key.Account), g.Account))
	}
	if err != nil {
		return fmt.Errorf("redislimit: cancel: %w", err)
	}
	return nil
}

// numberOf returns a number for a worker's ID, 0 for none, of as many bits as Lua's numbers hold.
func numberOf(worker string) int64 {
	if worker == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, worker) // a hash takes everything
	return int64(h.Sum64()>>12) + 1  // 52 bits
}

// GiveUp implements [ratelimit.Limiter].
func (l *Limiter) GiveUp(ctx context.Context, key ratelimit.Key) error {
	keys := []string{PhoneKey(key.PhoneNumberID)}
	if key.Account != "" {
		keys = append(keys, AccountKey(key.Account))
	}
	for _, k := range keys {
		if err := l.giveUpScript.Run(ctx, l.rdb, []string{k}, numberOf(key.Worker)).Err(); err != nil {
			return fmt.Errorf("redislimit: give up a dead worker's probe: %w", err)
		}
	}
	return nil
}

// Report implements [ratelimit.Limiter].
func (l *Limiter) Report(ctx context.Context, key ratelimit.Key, g ratelimit.Grant, o ratelimit.Observation) error {
	took := l.now().Sub(g.At)
	err := l.report(ctx, l.phone(key.PhoneNumberID), g.Phone, o.ForPhone(), took)
	if key.Account != "" {
		err = errors.Join(err, l.report(ctx, account(key.Account), g.Account, o.ForAccount(), took))
	}
	if err != nil {
		return fmt.Errorf("redislimit: report: %w", err)
	}
	return nil
}

func (l *Limiter) report(
	ctx context.Context, b bucket, st ratelimit.Stamp, o ratelimit.Observation, took time.Duration,
) error {
	now := l.now()
	l.tallies.add(b.key, tallyOf(st, o, now), now)
	if !ratelimit.Matters(st, o) {
		return nil
	}
	jitter := l.jitter()
	return l.change(ctx, b, st, func(s ratelimit.State, c ratelimit.Counters, now ratelimit.Instant) ratelimit.State {
		return ratelimit.Next(s, ratelimit.EventOf(st, o, c, took, jitter), now, b.set)
	})
}

// maxConflicts bounds how often a change is computed anew because another process was faster.
const maxConflicts = 10

// errContended is returned when others were faster every time; what was to be reported is then known from them.
var errContended = errors.New("the state kept changing under the update")

// change loads a state, lets do compute the next, and stores it, as one step seen from outside.
func (l *Limiter) change(
	ctx context.Context, b bucket, st ratelimit.Stamp,
	do func(ratelimit.State, ratelimit.Counters, ratelimit.Instant) ratelimit.State,
) error {
	for range maxConflicts {
		r, err := l.load(ctx, b, st)
		if err != nil {
			return err
		}
		stored, err := l.store.replace(ctx, b, r, do(r.state, r.count, r.now))
		if err != nil || stored {
			return err
		}
	}
	return errContended
}

// load reads a bucket and tells it what has been counted in this process.
func (l *Limiter) load(ctx context.Context, b bucket, st ratelimit.Stamp) (record, error) {
	told := l.tallies.collect(b.key)
	r, err := l.store.read(ctx, b, st, told)
	if err != nil {
		l.tallies.add(b.key, told, l.now())
	}
	return r, err
}

// ErrBadRate is returned for a rate that is not a number of calls a second above zero.
var ErrBadRate = errors.New("redislimit: a rate is a number of calls a second above 0")

// Show returns what is known of a phone number ID's limit. A number that was never called has the state that it would
// start with.
func (l *Limiter) Show(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error) {
	return l.show(ctx, l.phone(phoneNumberID))
}

// ShowAccount is Show for an account. Its rate is the highest there is until the account's limit has been met.
func (l *Limiter) ShowAccount(ctx context.Context, accountID string) (ratelimit.Snapshot, error) {
	return l.show(ctx, account(accountID))
}

// Pin sets the rate of a phone number ID, in calls a second, in place of what is learnt, until Release. Pauses still
// happen, and the configured ceiling still holds.
func (l *Limiter) Pin(ctx context.Context, phoneNumberID string, rate float64) (ratelimit.Snapshot, error) {
	return l.set(ctx, phoneNumberID, rate, ratelimit.State.Pinned)
}

// Cap bounds the rate of a phone number ID, in calls a second, until Release; below it the law goes on.
func (l *Limiter) Cap(ctx context.Context, phoneNumberID string, rate float64) (ratelimit.Snapshot, error) {
	return l.set(ctx, phoneNumberID, rate, ratelimit.State.Capped)
}

// Release undoes Pin and Cap, and ends a pause: one call then finds out whether it was over.
func (l *Limiter) Release(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error) {
	return l.operate(ctx, l.phone(phoneNumberID), ratelimit.State.Released)
}

// ReleaseAccount is Release for an account.
func (l *Limiter) ReleaseAccount(ctx context.Context, accountID string) (ratelimit.Snapshot, error) {
	return l.operate(ctx, account(accountID), ratelimit.State.Released)
}

func (l *Limiter) show(ctx context.Context, b bucket) (ratelimit.Snapshot, error) {
	r, err := l.load(ctx, b, ratelimit.Stamp{})
	if err != nil {
		return ratelimit.Snapshot{}, fmt.Errorf("redislimit: show: %w", err)
	}
	tokensAt := ratelimit.Instant(r.fields["at"])
	return ratelimit.SnapshotOf(r.state, r.count, r.fields["tokens"], tokensAt, r.now, b.set), nil
}

func (l *Limiter) set(
	ctx context.Context, phoneNumberID string, rate float64, apply func(ratelimit.State, float64) ratelimit.State,
) (ratelimit.Snapshot, error) {
	if !(rate > 0) || math.IsInf(rate, 1) {
		return ratelimit.Snapshot{}, ErrBadRate
	}
	return l.operate(ctx, l.phone(phoneNumberID), func(s ratelimit.State, _ ratelimit.Instant) ratelimit.State {
		return apply(s, rate)
	})
}

func (l *Limiter) operate(
	ctx context.Context, b bucket, do func(ratelimit.State, ratelimit.Instant) ratelimit.State,
) (ratelimit.Snapshot, error) {
	err := l.change(ctx, b, ratelimit.Stamp{}, func(s ratelimit.State, _ ratelimit.Counters, now ratelimit.Instant) ratelimit.State {
		return do(s, now)
	})
	if err != nil {
		return ratelimit.Snapshot{}, fmt.Errorf("redislimit: change the limit: %w", err)
	}
	return l.show(ctx, b)
}

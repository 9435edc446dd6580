package redislimit

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/wablock/wablock/ratelimit"
)

// ErrBadRate is returned for a rate that is no number of calls a second above zero.
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
	return l.set(ctx, l.phone(phoneNumberID), rate, ratelimit.State.Pinned)
}

// Cap bounds the rate of a phone number ID, in calls a second, until Release; below it the law goes on.
func (l *Limiter) Cap(ctx context.Context, phoneNumberID string, rate float64) (ratelimit.Snapshot, error) {
	return l.set(ctx, l.phone(phoneNumberID), rate, ratelimit.State.Capped)
}

// Release undoes Pin and Cap, and ends a pause: one call then finds out whether it was over.
func (l *Limiter) Release(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error) {
	return l.release(ctx, l.phone(phoneNumberID))
}

// ReleaseAccount is Release for an account.
func (l *Limiter) ReleaseAccount(ctx context.Context, accountID string) (ratelimit.Snapshot, error) {
	return l.release(ctx, account(accountID))
}

func (l *Limiter) show(ctx context.Context, t target) (ratelimit.Snapshot, error) {
	r, err := l.load(ctx, t, ratelimit.Stamp{}, tally{})
	if err != nil {
		return ratelimit.Snapshot{}, fmt.Errorf("redislimit: show: %w", err)
	}
	return r.state.View(r.count, r.fields["tokens"], ratelimit.Instant(r.fields["at"]), r.now, t.set), nil
}

func (l *Limiter) set(
	ctx context.Context, t target, rate float64, apply func(ratelimit.State, float64) ratelimit.State,
) (ratelimit.Snapshot, error) {
	if !(rate > 0) || math.IsInf(rate, 1) {
		return ratelimit.Snapshot{}, ErrBadRate
	}
	return l.operate(ctx, t, func(s ratelimit.State, _ ratelimit.Counters, _ ratelimit.Instant) ratelimit.State {
		return apply(s, rate)
	})
}

func (l *Limiter) release(ctx context.Context, t target) (ratelimit.Snapshot, error) {
	return l.operate(ctx, t, func(s ratelimit.State, _ ratelimit.Counters, now ratelimit.Instant) ratelimit.State {
		return s.Released(now)
	})
}

func (l *Limiter) operate(
	ctx context.Context, t target, do func(ratelimit.State, ratelimit.Counters, ratelimit.Instant) ratelimit.State,
) (ratelimit.Snapshot, error) {
	if err := l.change(ctx, t, ratelimit.Stamp{}, do); err != nil {
		return ratelimit.Snapshot{}, fmt.Errorf("redislimit: change the limit: %w", err)
	}
	return l.show(ctx, t)
}

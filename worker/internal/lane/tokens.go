package lane

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// tokens are the limiter's for the calls of one phone number ID. Safe for concurrent use.
type tokens struct {
	limiter ratelimit.Limiter
	key     ratelimit.Key
	account *account // nil where the phone number ID has none
	metrics Metrics
	log     *slog.Logger
}

// take asks for a token for a new call. Where there is none, the grant is not OK, and wait says when to come again.
func (t *tokens) take(ctx context.Context) (grant ratelimit.Grant, wait time.Duration, err error) {
	grant, err = t.limiter.Take(ctx, t.key)
	if err == nil && grant.OK {
		return grant, 0, nil
	}
	t.metrics.Limited(t.key.PhoneNumberID, grant.Reason.String(), grant.Wait)
	wait = max(grant.Wait, time.Millisecond) + behind(grant.Wait)
	if t.account != nil && t.account.limits(t.key.PhoneNumberID) {
		wait += min(wait/2, time.Second) // others of the account find out first whether its pause is over
	}
	return grant, wait, err
}

// takeNext asks for one more token for a call in parts, which goes before new calls.
func (t *tokens) takeNext(ctx context.Context) (ratelimit.Grant, error) {
	return t.limiter.Take(ctx, t.key)
}

// behind is a random time that new calls, of any worker, wait for a token for longer than parts of calls, so that they do not
// take all where few come.
func behind(wait time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(min(wait/16, longestBehind)))
}

// report tells the limiter what came of a call.
func (t *tokens) report(ctx context.Context, g ratelimit.Grant, v verdict.Verdict) {
	o := v.Observation
	if t.account != nil {
		o = t.account.attribute(t.key.PhoneNumberID, o, time.Now())
	}
	if o.Limited {
		scope := client.ScopePhoneNumber
		if o.Account {
			scope = client.ScopeAccount
		}
		t.metrics.RateLimitHit(t.key.PhoneNumberID, scope.String())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	if err := t.limiter.Report(ctx, t.key, g, o); err != nil {
		t.log.Error("lane: a call could not be reported to the limiter", keyError, err.Error())
	}
}

// giveBack returns a token that was not used.
func (t *tokens) giveBack(ctx context.Context, g ratelimit.Grant) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	if err := t.limiter.Cancel(ctx, t.key, g); err != nil {
		t.log.Error("lane: an unused rate-limit token could not be returned", keyError, err.Error())
	}
}

// probes reports whether a grant is for the one call after a pause.
func probes(g ratelimit.Grant) bool { return g.Phone.Probe || g.Account.Probe }

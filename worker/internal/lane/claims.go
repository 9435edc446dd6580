package lane

import (
	"context"
	"strconv"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// ticket is the right to make one call, by the circuit breaker and by the limiter. It is used for one, or given back.
type ticket struct {
	admission verdict.Admission
	grant     ratelimit.Grant
}

// claims makes the claims of one lane. Its loop alone uses claim and releaseUnacked; the rest is safe for concurrent use.
type claims struct {
	ledger         *ledger.Ledger
	requestTimeout time.Duration
	prefix         string // of the IDs, with a count behind it
	n              int64
	unacked        string // ID of the claim whose reply never came, "" for none
}

// claim claims as many users as the ticket allows.
func (c *claims) claim(ctx context.Context, t ticket) (ledger.Claim, error) {
	// A claim whose reply nothing reads would hold its users until its deadline.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimMargin)
	defer cancel()
	limit := max(1, min(t.grant.MaxUsers, ledger.MaxBatch))
	if t.admission.Max > 0 {
		limit = min(limit, t.admission.Max)
	}
	c.n++
	id := c.prefix + strconv.FormatInt(c.n, 36)
	o := ledger.ClaimOptions{ID: id, Max: limit, Timeout: c.lasts(), Only: t.admission.Only, Oldest: c.n%oldestEvery == 0}
	if t.grant.FreshOnly || t.admission.Fresh {
		o.Rest = max(t.grant.RetryIn, time.Millisecond)
	}
	claim, err := c.ledger.Claim(ctx, o)
	if err != nil {
		c.unacked = id
	}
	return claim, err
}

// lasts is the duration of a claim.
func (c *claims) lasts() time.Duration { return c.requestTimeout + claimMargin }

// callUntil is the time by which requests must have ended under a claim that was asked for at that
// time. One half of the margin is for a Redis that answers slowly, the other for clocks.
func (c *claims) callUntil(asked time.Time) time.Time {
	return asked.Add(c.requestTimeout + claimMargin/2)
}

// releaseUnacked puts back the users of a claim whose reply never came, so that they need not wait for its deadline.
// After an error it is called again.
func (c *claims) releaseUnacked(ctx context.Context) error {
	if c.unacked == "" {
		return nil
	}
	claim, err := c.ledger.Claim(ctx, ledger.ClaimOptions{ID: c.unacked, Max: 0, Timeout: c.lasts()})
	if err != nil {
		return err
	}
	if err := c.putBack(ctx, claim.ID, claim.Users, 0); err != nil {
		return err
	}
	c.unacked = ""
	return nil
}

// putBack lets users wait again, with no attempt used up.
func (c *claims) putBack(ctx context.Context, claimID string, users []ledger.Claimed, delay time.Duration) error {
	back := make([]ledger.Settlement, len(users))
	for i, u := range users {
		back[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Wait, Delay: delay}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	_, err := c.ledger.Settle(ctx, claimID, back)
	return err
}

package worker

import (
	"context"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// carryOut sends the users of a claim under a grant and settles them: in one request, or when one
// user sinks it in halves, and halves of halves, until those at fault are alone. Each request
// needs a token of its own. ctx ends when calls must stop.
func (c *call) carryOut(ctx context.Context, users []ledger.Claimed, grant ratelimit.Grant) {
	c.left = [][]ledger.Claimed{users}
	for ok := true; ok; grant, ok = c.next(ctx) {
		last := len(c.left) - 1
		sent := c.left[last]
		j := c.once(ctx, sent, grant)
		held := c.left[last] // less than was sent, if a check had to wait
		c.left = c.left[:last]
		if j.split {
			c.left = append(c.left, held[len(held)/2:], held[:len(held)/2])
		} else {
			c.settle(ctx, sent, j)
		}
	}
}

// next returns leave to send the last part of those left. When there is none, or no leave to be
// had, whoever is left waits again.
func (c *call) next(ctx context.Context) (ratelimit.Grant, bool) {
	if c.drop(); len(c.left) == 0 {
		return ratelimit.Grant{}, false
	}
	grant, ok := c.token(ctx)
	if !ok {
		for _, part := range c.left {
			c.putBack(ctx, c.claimID, part, 0)
		}
		return ratelimit.Grant{}, false
	}
	if c.drop(); len(c.left) == 0 {
		c.cancelGrant(ctx, grant)
		return ratelimit.Grant{}, false
	}
	return grant, true
}

// drop takes the parts away that have lost all of their users.
func (c *call) drop() {
	for n := len(c.left); n > 0 && len(c.left[n-1]) == 0; n-- {
		c.left = c.left[:n-1]
	}
}

// token waits for leave to make one more request, and keeps the claim meanwhile. It gives up
// when ctx or the lane ends, and when the gate closes.
func (c *call) token(ctx context.Context) (ratelimit.Grant, bool) {
	for ctx.Err() == nil && c.w.running() {
		if state, _, _ := c.gate.status(time.Now()); state != GateOpen && !c.admission.probe {
			break
		}
		grant, err := ratelimit.Grant{}, c.keep(ctx)
		if err == nil {
			grant, err = c.w.cfg.Limiter.Take(ctx, c.key)
		}
		if err == nil && grant.OK {
			return grant, true
		}
		wait := min(max(grant.Wait, time.Millisecond), tokenLook)
		if err != nil {
			c.w.complain(c.log, "lane: Redis does not let a call go on; trying again", err)
			wait = redisRetryDelay
		}
		timer, stop := after(wait)
		select {
		case <-timer:
		case <-ctx.Done():
		}
		stop()
	}
	return ratelimit.Grant{}, false
}

// keep renews the claim on everybody who is left, unless a request that goes out now ends before
// it does. Who is wanted in a newer version by then is left out, and so is who was lost to
// another claim, and is that one's to settle.
func (c *call) keep(ctx context.Context) error {
	if time.Until(c.until) >= c.w.cfg.RequestTimeout {
		return nil
	}
	asked := time.Now()
	for i, part := range c.left {
		states, err := c.ledger.Renew(ctx, c.claimID, part, c.w.claimHold())
		if err != nil {
			return err
		}
		kept := make([]ledger.Claimed, 0, len(part))
		for k, u := range part {
			switch states[k] {
			case ledger.InFlight:
				kept = append(kept, u)
			case ledger.Superseded:
				c.watches.settled(u.User, u.Version, ledger.Superseded, 0)
			default:
			}
		}
		c.left[i] = kept
	}
	c.until = c.w.callUntil(asked)
	return nil
}

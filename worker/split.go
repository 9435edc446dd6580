package worker

import (
	"context"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// halve sends users in halves, and halves of halves, until those that sink a call are alone.
// Each part needs a token and a renewed claim of its own: who is wanted in a newer version by
// then is left out, and who was lost to another claim is that one's to settle.
func (c *call) halve(ctx context.Context, users []ledger.Claimed) {
	stack := [][]ledger.Claimed{users[len(users)/2:], users[:len(users)/2]}
	for len(stack) > 0 {
		part := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		grant, ok := c.token(ctx)
		if !ok {
			for _, left := range append(stack, part) {
				c.putBack(ctx, c.claimID, left, 0)
			}
			return
		}
		part = c.kept(ctx, part)
		if len(part) == 0 {
			c.cancelGrant(ctx, grant)
			continue
		}
		j := c.once(ctx, part, grant)
		if j.split {
			stack = append(stack, part[len(part)/2:], part[:len(part)/2])
			continue
		}
		c.settle(ctx, part, j)
	}
}

// token waits for leave to make one more call. It gives up when ctx or the lane ends, when the
// gate closes, or when the wait would outlast the claim.
func (c *call) token(ctx context.Context) (ratelimit.Grant, bool) {
	giveUp := time.Now().Add(c.w.cfg.RequestTimeout)
	for time.Now().Before(giveUp) && c.w.running() {
		if state, _, _ := c.gate.status(time.Now()); state != GateOpen && !c.admission.probe {
			break
		}
		grant, err := c.w.cfg.Limiter.Take(ctx, c.key)
		if err != nil {
			break
		}
		if grant.OK {
			return grant, true
		}
		timer, stop := after(max(grant.Wait, time.Millisecond))
		select {
		case <-timer:
		case <-ctx.Done():
		}
		stop()
		if ctx.Err() != nil {
			break
		}
	}
	return ratelimit.Grant{}, false
}

// kept renews the claim on users and returns those that it still holds.
func (c *call) kept(ctx context.Context, users []ledger.Claimed) []ledger.Claimed {
	asked := time.Now()
	states, err := c.ledger.Renew(ctx, c.claimID, users, c.w.cfg.RequestTimeout+claimMargin)
	if err != nil {
		c.w.complain(c.log, "lane: a claim could not be renewed; its users wait until it ends", err)
		return nil
	}
	c.deadline = asked.Add(c.w.cfg.RequestTimeout)
	kept := make([]ledger.Claimed, 0, len(users))
	for i, u := range users {
		switch states[i] {
		case ledger.InFlight:
			kept = append(kept, u)
		case ledger.Superseded:
			c.watches.settled(u.User, u.Version, ledger.Superseded, 0)
		default:
		}
	}
	return kept
}

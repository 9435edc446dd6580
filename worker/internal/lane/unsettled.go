package lane

import (
	"context"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// callContext bounds the calls of a lane. A worker that stops begins no call, but lets those in
// flight end, and then has time left to write what came of them: three ends, one after the other.
type callContext struct {
	lane    context.Context // ends when no call may begin
	calls   context.Context // ends when those in flight must stop
	settles context.Context // ends when their outcomes must have been written
}

// unsettled are the users of a claim that are not settled, while it takes several requests: it keeps the claim on them as
// it waits for tokens, and leaves out those that it loses meanwhile.
type unsettled struct {
	*lane
	ctx       callContext
	claimID   string
	op        ledger.Operation
	admission verdict.Admission
	// left goes out part by part, the first one next.
	left [][]ledger.Claimed
	// lost are users that have left the claim: wanted in a newer version, or lost to another one.
	lost map[user.ID]bool
	// until is the time by which each request must have ended: the claim ends a little later.
	until time.Time
}

// trim takes lost users out of the parts, and reports whether any are left.
func (p *unsettled) trim() bool {
	var left [][]ledger.Claimed
	for _, part := range p.left {
		kept := part
		if len(p.lost) > 0 {
			kept = make([]ledger.Claimed, 0, len(part))
			for _, u := range part {
				if !p.lost[u.User] {
					kept = append(kept, u)
				}
			}
		}
		if len(kept) > 0 {
			left = append(left, kept)
		}
	}
	p.left = left
	return len(left) > 0
}

// token waits for a token for one more request, and keeps the claim meanwhile. It gives up when
// the calls must stop, and when the breaker opens. A part that another call got ahead of once goes before new calls.
func (p *unsettled) token() (ratelimit.Grant, bool) {
	for asked := 0; p.ctx.calls.Err() == nil && p.ctx.lane.Err() == nil; asked++ {
		s := p.breaker.Status(time.Now()).State
		if (s == verdict.Halted || s == verdict.Outage) && p.admission.Probe == verdict.NoProbe {
			break
		}
		stopped, err := p.pauses.stops(p.ctx.calls, p.op)
		if stopped {
			break
		}
		var grant ratelimit.Grant
		if err == nil {
			err = p.renew()
		}
		if err == nil {
			grant, err = p.tokens.takeNext(p.ctx.calls)
		}
		if err == nil && grant.OK {
			return grant, true
		}
		wait := min(max(grant.Wait, time.Millisecond), callPoll)
		if asked == 0 {
			wait += behind(grant.Wait)
		}
		if err != nil {
			p.log.Error("lane: Redis does not let a call go on; trying again", keyError, err.Error())
			wait = redisRetryDelay
		}
		sleepFor(p.ctx.calls, wait)
	}
	return ratelimit.Grant{}, false
}

// renew keeps the claim on the users that are left, unless a request that goes out now ends before
// it does.
func (p *unsettled) renew() error {
	if time.Until(p.until) >= p.cfg.RequestTimeout {
		return nil
	}
	asked := time.Now()
	for _, part := range p.left {
		states, err := p.ledger.Renew(p.ctx.calls, p.claimID, part, p.claims.lasts(), p.op)
		if err != nil {
			return err
		}
		for i, u := range part {
			if states[i] == ledger.InFlight {
				continue
			}
			if p.lost == nil {
				p.lost = map[user.ID]bool{}
			}
			p.lost[u.User] = true
			switch states[i] {
			case ledger.Superseded:
				p.follower.watches.settled(u.User, u.Version, ledger.Superseded, 0)
			case ledger.Waiting:
				p.logLate(1)
			default:
			}
		}
	}
	p.until = p.claims.callUntil(asked)
	return nil
}

func (p *unsettled) logLate(users int) {
	p.log.Warn("lane: a call whose claim was lost, or for another name of the same users, may have undone newer requests; one more call follows for each", keyUsers, users)
}

// sleepFor waits for d, or until ctx ends.
func sleepFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

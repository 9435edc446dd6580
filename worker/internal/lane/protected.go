package lane

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// errProtected is the error of users that no call is made for.
var errProtected = errors.New("protected user")

// leaveProtected dead-letters the protected ones among users who are to be blocked, and returns the others. Where
// the lists can't be read no call is made: all users wait again.
func (c *call) leaveProtected(users []ledger.Claimed) []ledger.Claimed {
	if c.op != ledger.Block {
		return users
	}
	ids := make([]user.ID, len(users))
	for i, u := range users {
		ids[i] = u.User
	}
	ctx, cancel := context.WithTimeout(c.ctx.calls, redisRetryDelay)
	defer cancel()
	found, err := protect.Check(ctx, c.cfg.Redis, c.number.ID, ids)
	if err != nil {
		c.log.Error("lane: the lists of protected users can't be read; the call waits", keyError, err.Error())
		if err := c.putBack(c.ctx.calls, c.claimID, users, redisRetryDelay); err != nil {
			c.log.Error("lane: users could not be put back; they wait until their claim ends", keyUsers, len(users), keyError, err.Error())
		}
		return nil
	}
	if len(found) == 0 {
		return users
	}
	v := verdict.Verdict{Err: errProtected}
	var dead, others []ledger.Claimed
	for _, u := range users {
		e, protected := found[u.User]
		if !protected {
			others = append(others, u)
			continue
		}
		dead = append(dead, u)
		v.Settlements = append(v.Settlements, ledger.Settlement{
			User: u.User, Version: u.Version, Verdict: ledger.Kill,
			Failure: &ledger.Failure{Message: "protected user", Details: e.Why(), At: time.Now().UnixMilli()},
		})
	}
	c.log.Warn("lane: protected users are not blocked; they go into the dead-letter queue", keyUsers, len(dead))
	c.settle(dead, v)
	return others
}

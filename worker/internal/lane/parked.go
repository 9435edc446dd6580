package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// errParked is the error of users that no call is made for, since it would be refused.
var errParked = errors.New("user who has not written")

// park dead-letters those among users who are to be blocked that the API is known to refuse, and returns the others. Where Redis does not tell, all are called for.
func (c *claimRun) park(users []ledger.Claimed) []ledger.Claimed {
	if !c.cfg.ParkClosedWindows || c.op != ledger.Block || len(users) == 0 {
		return users
	}
	ctx, cancel := context.WithTimeout(c.ctx.calls, redisRetryDelay)
	closed, err := c.closedWindows(ctx, users)
	cancel()
	if err != nil {
		c.log.Warn("lane: it can't be read who has not written; all are called for", keyUsers, len(users), keyError, err.Error())
		return users
	}
	if len(closed) == 0 {
		return users
	}
	dead, others, v := parkedAmong(users, closed, time.Now())
	c.log.Info("lane: users who have not written are parked without a call, until they write", keyUsers, len(dead))
	c.settle(dead, v)
	return others
}

// closedWindows returns those of the users whose windows are known to be closed, and when they wrote last. Under the names
// of a claim that is one round trip; the other names of a person, and whether a call is wanted all the same, are looked up
// of those alone who would be parked.
func (c *claimRun) closedWindows(ctx context.Context, users []ledger.Claimed) (map[user.ID]time.Time, error) {
	ids := idsOf(users)
	names := make([][]user.ID, len(ids))
	for i, id := range ids {
		names[i] = []user.ID{id}
	}
	t, err := heard.Read(ctx, c.cfg.Redis, c.number.ID, names)
	if err != nil {
		return nil, err
	}
	var found []user.ID
	for i, id := range ids {
		if t.Closed(i) {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	entries, err := c.ledger.Entries(ctx, found)
	if err != nil {
		return nil, err
	}
	texts, err := c.ledger.Texts(ctx, digestsOf(entries))
	if err != nil {
		return nil, err
	}
	if names, err = c.ledger.NamesOf(ctx, found); err != nil {
		return nil, err
	}
	for i, e := range entries {
		if id, err := user.FromCanonical("+" + e.WaID); err == nil {
			names[i] = append(names[i], id)
		}
	}
	if t, err = heard.Read(ctx, c.cfg.Redis, c.number.ID, names); err != nil {
		return nil, err
	}
	closed := make(map[user.ID]time.Time)
	for i, id := range found {
		if t.Closed(i) && !texts[entries[i].Job.Text].Unparked {
			closed[id] = t.Last[i]
		}
	}
	return closed, nil
}

func digestsOf(entries []ledger.Entry) []string {
	digests := make([]string, len(entries))
	for i, e := range entries {
		digests[i] = e.Job.Text
	}
	return digests
}

// parkedAmong parts users by whether their windows are closed, and returns the verdict on those whose are: that of a refusal,
// so that they are asked for again when they write.
func parkedAmong(users []ledger.Claimed, closed map[user.ID]time.Time, now time.Time) (dead, others []ledger.Claimed, v verdict.Verdict) {
	v.Err = errParked
	for _, u := range users {
		last, is := closed[u.User]
		if !is {
			others = append(others, u)
			continue
		}
		dead = append(dead, u)
		v.Settlements = append(v.Settlements, ledger.Settlement{
			User: u.User, Version: u.Version, Do: ledger.Kill,
			Failure: &ledger.Failure{
				Code: tasks.CodeWindow, Message: "parked without a call", Parked: true, At: now.UnixMilli(),
				Details: fmt.Sprintf("no call was made: the user wrote last on %s; blocked when they write again", last.UTC().Format(time.RFC3339)),
			},
		})
	}
	return dead, others, v
}

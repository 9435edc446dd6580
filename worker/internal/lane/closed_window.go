package lane

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// windows reads whose 24 hours, in which the API takes a block, are over.
type windows struct {
	redis         redis.UniversalClient
	ledger        *ledger.Ledger
	phoneNumberID string
}

// closed returns those of the users whose windows are known to be closed, and when they wrote last. Under the names
// of a claim that is one round trip; the other names of a person, and whether a call is wanted all the same, are looked up
// of those alone who would be parked.
func (w windows) closed(ctx context.Context, users []ledger.Claimed) (map[user.ID]time.Time, error) {
	ids := idsOf(users)
	names := make([][]user.ID, len(ids))
	for i, id := range ids {
		names[i] = []user.ID{id}
	}
	t, err := heard.Read(ctx, w.redis, w.phoneNumberID, names)
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
	entries, err := w.ledger.Entries(ctx, found)
	if err != nil {
		return nil, err
	}
	texts, err := w.ledger.Texts(ctx, digestsOf(entries))
	if err != nil {
		return nil, err
	}
	if names, err = w.ledger.NamesOf(ctx, found); err != nil {
		return nil, err
	}
	for i, e := range entries {
		if id, err := user.FromCanonical("+" + e.WaID); err == nil {
			names[i] = append(names[i], id)
		}
	}
	if t, err = heard.Read(ctx, w.redis, w.phoneNumberID, names); err != nil {
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

// parkedFailures returns why users whose windows are closed are not called for: as if the API had refused them, so that they
// are asked for again when they write.
func parkedFailures(closed map[user.ID]time.Time, now time.Time) map[user.ID]*ledger.Failure {
	failures := make(map[user.ID]*ledger.Failure, len(closed))
	for id, last := range closed {
		failures[id] = &ledger.Failure{
			Code: tasks.CodeWindow, Message: "parked without a call", Parked: true, At: now.UnixMilli(),
			Details: fmt.Sprintf("no call was made: the user wrote last on %s; blocked when they write again", last.UTC().Format(time.RFC3339)),
		}
	}
	return failures
}

func idsOf(users []ledger.Claimed) []user.ID {
	ids := make([]user.ID, len(users))
	for i, u := range users {
		ids[i] = u.User
	}
	return ids
}

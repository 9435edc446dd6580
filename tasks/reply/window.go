package reply

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/tasks/waiting"
)

// explainWindows sets when users wrote last, and what that is waited for.
func explainWindows(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, all []Status) error {
	entries := make([]ledger.Entry, len(all))
	for i, s := range all {
		entries[i].WaID = s.WaID
		entries[i].User, _ = user.FromCanonical(s.User) // it was one before
	}
	last, err := heard.Last(ctx, rdb, phoneNumberID, entries)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].explainWindow(last[i])
	}
	return nil
}

func (s *Status) explainWindow(last time.Time) {
	if !last.IsZero() {
		s.LastHeardAt, s.WindowUntil = last, last.Add(heard.Window)
	}
	if s.State == DeadLettered && !s.Discarded && s.Code == tasks.CodeWindow && s.SupersededBy == "" {
		s.WaitingText = waiting.WindowText
	}
	switch {
	case s.WaitingText != waiting.WindowText:
	case len(s.Planned) > 0:
		s.WaitingText = "the user has written: it is asked for again at " + s.Planned[0].At.Format(time.RFC3339)
	case !last.IsZero():
		s.WaitingText = "the API refused it although the user wrote at " + last.Format(time.RFC3339) + "; it is asked for again when the user writes again"
	}
}

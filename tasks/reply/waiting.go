package reply

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/pause"
)

// WaitingFor names the cause that keeps a user pending.
type WaitingFor string

// The causes.
const (
	// Paused holds back users whose calls an operator has stopped.
	Paused WaitingFor = "paused"
	// Window holds back a standing block of a user who has not written in the last 24 hours.
	Window WaitingFor = "window"
)

// windowText goes with Window.
const windowText = "the user has not written to this phone number in the last 24 hours, and is asked for again once that happens, as soon as a webhook, `wablock heard` or POST /v1/heard tells so"

// Explain sets the causes that keep users pending, as far as they are known. They are of one phone number ID.
func Explain(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, all []Status) error {
	pauses, err := pause.Of(ctx, rdb, phoneNumberID)
	if err != nil {
		return err
	}
	for i := range all {
		all[i].explain(pauses)
	}
	return explainWindows(ctx, rdb, phoneNumberID, all)
}

func (s *Status) explain(pauses []pause.Pause) {
	if s.State != Pending || s.WaitingFor != "" {
		return
	}
	if p, ok := pause.Stops(pauses, s.PhoneNumberID, s.Operation); ok {
		s.WaitingFor, s.WaitingText = Paused, p.String()
	}
}

package webhook

import (
	"context"
	"log/slog"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/user"
)

// Hearer notes who wrote; [tasks.Producer] does.
type Hearer interface {
	Heard(ctx context.Context, events ...tasks.HeardEvent) (tasks.HeardReport, error)
}

// Heard returns the consumer that notes who wrote, and by that asks for users again who had been refused since they
// had not.
func Heard(h Hearer, log *slog.Logger) Consumer {
	return func(ctx context.Context, events []Event) error {
		var wrote []tasks.HeardEvent
		for _, e := range events {
			if e.Kind != Message && e.Kind != Weak || e.At.IsZero() {
				continue
			}
			said := tasks.HeardEvent{PhoneNumberID: e.PhoneNumberID, At: e.At, Weak: e.Kind == Weak}
			if _, err := user.FromCanonical("+" + e.WaID); err == nil {
				said.WaID = e.WaID
			}
			if _, err := user.FromCanonical(e.UserID); err == nil {
				said.UserID = e.UserID
			}
			if said.WaID != "" || said.UserID != "" {
				wrote = append(wrote, said)
			}
		}
		if len(wrote) == 0 {
			return nil
		}
		report, err := h.Heard(ctx, wrote...)
		if report.Revived > 0 {
			log.InfoContext(ctx, "webhook: users who wrote are asked for again", "users", report.Revived)
		}
		return err
	}
}

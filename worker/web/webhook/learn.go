package webhook

import (
	"context"
	"log/slog"

	"github.com/wablock/wablock/tasks"
)

// Learner learns which names are one person's; [tasks.Producer] does.
type Learner interface {
	Learn(ctx context.Context, phoneNumberID string, told ...tasks.Told) (asked int, err error)
}

// Learn returns the consumer that learns the names of those who did not write, and asks for a wanted block under a
// new number or business-scoped user ID as well. [Heard] learns the names of those who wrote.
func Learn(l Learner, log *slog.Logger) Consumer {
	return func(ctx context.Context, events []Event) error {
		told := make(map[string][]tasks.Told)
		for _, e := range events {
			if e.Kind == Identity || e.Kind == Change {
				told[e.PhoneNumberID] = append(told[e.PhoneNumberID], tasks.Told{
					WaID: e.WaID, UserID: e.UserID, PreviousWaID: e.PreviousWaID, PreviousUserID: e.PreviousUserID, At: e.At,
				})
			}
		}
		for id, some := range told {
			asked, err := l.Learn(ctx, id, some...)
			if asked > 0 {
				log.InfoContext(ctx, "webhook: users with a new number or ID are blocked under it too", "phone_number_id", id, "users", asked)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

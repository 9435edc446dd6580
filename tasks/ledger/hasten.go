package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/wablock/wablock/tasks/user"
)

// Hasten puts those of some users in line with the interactive ones whose blocks wait in another queue, and returns how
// many. Their version, and so the order of requests, stays. It takes at most MaxBatch users, under any of their names.
func (l *Ledger) Hasten(ctx context.Context, users []user.ID) (int, error) {
	if len(users) == 0 {
		return 0, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return 0, fmt.Errorf("ledger: hasten: %w", err)
	}
	args := make([]any, len(users))
	for i, u := range users {
		args[i] = u.Reveal()
	}
	n, err := hastenScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.personsKey), args...).Int()
	if err != nil {
		return 0, fmt.Errorf("ledger: hasten: %w", err)
	}
	return n, nil
}

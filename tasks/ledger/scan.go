package ledger

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// scanCount bounds the records that one step of Scan asks for: a fraction of a millisecond.
const scanCount = 500

// Scan walks over all users of the phone number ID, in no order and a few hundred a step, so
// that nothing else waits for it. A user that is there from beginning to end comes at least once,
// perhaps twice; what changes meanwhile may come as it was or as it is. A record that cannot
// be read comes as an entry in state Unknown: what is wanted for its user is not known, which is not the same as nothing.
// Only users under names that cannot be read are passed over. An error is the last thing that comes.
func (l *Ledger) Scan(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for cursor := uint64(0); ; {
			pairs, next, err := l.rdb.HScan(ctx, l.keys[keyUsers], cursor, "", scanCount).Result()
			if err != nil {
				yield(Entry{}, fmt.Errorf("ledger: scan: %w", err))
				return
			}
			for i := 0; i+1 < len(pairs); i += 2 {
				id, err := user.FromCanonical(pairs[i])
				if err != nil {
					continue
				}
				if !yield(parseEntry(id, pairs[i+1]), nil) {
					return
				}
			}
			if cursor = next; cursor == 0 {
				return
			}
		}
	}
}

// ForgetAfter is the time that the record of an unblocked user is kept: longer than a task can wait. An
// older request of a user without a record can't be ordered any more.
const ForgetAfter = 30 * 24 * time.Hour

// Forget drops entries, as Scan gave them, of users that are unblocked still, at the same
// version, and have nothing planned, and returns how many. It takes at most MaxBatch of them.
func (l *Ledger) Forget(ctx context.Context, entries []Entry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	if err := checkBatch(len(entries)); err != nil {
		return 0, fmt.Errorf("ledger: forget: %w", err)
	}
	args := make([]any, 0, 2*len(entries))
	for _, e := range entries {
		args = append(args, e.User.Reveal(), int64(e.Version))
	}
	n, err := forgetScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.namesKey, l.plannedKey()), args...).Int()
	if err != nil {
		return 0, fmt.Errorf("ledger: forget: %w", err)
	}
	return n, nil
}

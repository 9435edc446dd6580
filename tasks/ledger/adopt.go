package ledger

import (
	"context"
	"fmt"
)

// Adopt writes down, at version v, that users are blocked which another program has blocked: no
// call is made. An entry says what the ledger held of a user when that was found out; a user that
// has been asked for since is passed over, and so is one that waits or is in flight. WaID is
// taken from the entry. It takes at most MaxBatch entries, and returns how many it took in.
func (l *Ledger) Adopt(ctx context.Context, v Version, entries []Entry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	if err := checkBatch(len(entries)); err != nil {
		return 0, fmt.Errorf("ledger: adopt: %w", err)
	}
	args := make([]any, 0, 1+3*len(entries))
	args = append(args, int64(v))
	for _, e := range entries {
		if e.User.IsZero() || v <= e.Version {
			return 0, fmt.Errorf("ledger: adopt: %w: no user, or a version that is not newer", ErrInvalid)
		}
		waID := e.WaID
		if !isWord(waID) {
			waID = ""
		}
		args = append(args, e.User.Reveal(), int64(e.Version), waID)
	}
	n, err := adoptScript.Run(ctx, l.rdb, l.keys, args...).Int()
	if err != nil {
		return 0, fmt.Errorf("ledger: adopt: %w", err)
	}
	return n, nil
}

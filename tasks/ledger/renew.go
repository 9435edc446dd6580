package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Renew keeps users of a claim for one more call, until timeout from now. Effect is what the last
// call under the claim has, or may have, carried out, as in a [Settlement]. It returns one state
// per user: InFlight when it is kept; Superseded when a newer request was marked, in which case it
// waits; Unknown when the claim was lost; Waiting when it was, and the call may have undone what
// another one did since, so that the record's request waits again.
func (l *Ledger) Renew(ctx context.Context, claimID string, users []Claimed, timeout time.Duration, effect Operation) ([]State, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return nil, fmt.Errorf("ledger: renew: %w", err)
	}
	args := make([]any, 0, 3+2*len(users))
	args = append(args, claimID, timeout.Milliseconds(), effect.letter())
	for _, u := range users {
		args = append(args, u.User.Reveal(), int64(u.Version))
	}
	letters, err := renewScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.personsKey, l.claimsKey, l.countsKey), args...).Text()
	if err != nil {
		return nil, fmt.Errorf("ledger: renew: %w", err)
	}
	if len(letters) != len(users) {
		return nil, fmt.Errorf("ledger: renew: %w", ErrReply)
	}
	return statesOf(strings.NewReplacer("l", string(rune(Unknown)), "L", string(rune(Waiting))).Replace(letters)), nil
}

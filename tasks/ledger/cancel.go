package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Cancel marks a job as canceled: none of its users is marked from then on. It reports false when the
// job is not known. Its users are withdrawn by [Ledger.Withdraw].
func (l *Ledger) Cancel(ctx context.Context, v Version) (bool, error) {
	return l.cancel(ctx, v, 0, nil)
}

// Withdraw takes the users of one part of a job, from 1, out of the ledger's lines, as far as they are in no call, which
// is atomic against claims: what each was before comes back, and what it had displaced while that waited goes on waiting. It takes all users of the
// part, and may be repeated.
func (l *Ledger) Withdraw(ctx context.Context, v Version, part int, users []user.ID) error {
	if part < 1 || len(users) == 0 {
		return fmt.Errorf("ledger: withdraw: %w: a part without users", ErrInvalid)
	}
	_, err := l.cancel(ctx, v, part, users)
	return err
}

func (l *Ledger) cancel(ctx context.Context, v Version, part int, users []user.ID) (bool, error) {
	if err := checkBatch(len(users)); err != nil {
		return false, fmt.Errorf("ledger: cancel: %w", err)
	}
	args := make([]any, 0, 4+len(users))
	args = append(args, WakeChannel, l.phoneNumberID, int64(v), part)
	for _, u := range users {
		args = append(args, u.Reveal())
	}
	reply, err := cancelScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.endsKey, l.personsKey, l.countsKey), args...).Int64Slice()
	if err != nil {
		return false, fmt.Errorf("ledger: cancel: %w", err)
	}
	if len(reply) != 2 {
		return false, fmt.Errorf("ledger: cancel: %w", ErrReply)
	}
	if reply[1] > 0 { // the index may have lost sight of the phone number ID while another request had displaced the block
		if err := EndsAt(ctx, l.rdb, l.phoneNumberID, time.UnixMilli(reply[1])); err != nil {
			return false, err
		}
	}
	return reply[0] == 1, nil
}

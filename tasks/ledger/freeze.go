package ledger

import (
	"context"
	"fmt"
	"time"
)

// Freeze keeps every worker from claiming users of the phone number ID for a while, so that
// the blocklist can be read while it stands still. Calls that are in flight end as they
// would; requests are marked as ever and wait. It lasts for ttl, at most MaxWait, by Redis's clock; freezing
// again under the same owner renews it. It reports false when another owner has frozen it.
func (l *Ledger) Freeze(ctx context.Context, owner string, ttl time.Duration) (bool, error) {
	if !isWord(owner) || ttl < time.Millisecond || ttl > MaxWait {
		return false, fmt.Errorf("ledger: freeze: %w: it needs an owner, and a time of at most %v", ErrInvalid, MaxWait)
	}
	return l.setFreeze(ctx, owner, ttl)
}

// Thaw ends what owner froze, and wakes the lanes. It reports false when another owner has frozen it
// by now.
func (l *Ledger) Thaw(ctx context.Context, owner string) (bool, error) {
	return l.setFreeze(ctx, owner, 0)
}

func (l *Ledger) setFreeze(ctx context.Context, owner string, ttl time.Duration) (bool, error) {
	n, err := freezeScript.Run(ctx, l.rdb, []string{l.freezeKey}, owner, ttl.Milliseconds(), WakeChannel, l.phoneNumberID).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: freeze: %w", err)
	}
	return n == 1, nil
}

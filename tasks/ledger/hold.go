package ledger

import (
	"context"
	"fmt"
	"time"
)

// Hold keeps every worker from claiming users of the phone number ID for a while, so that
// the blocklist can be read while it stands still. Calls that are in flight end as they
// would; requests are marked as ever and wait. It lasts for ttl, at most MaxWait, by Redis's clock; holding
// again under the same owner renews it. It reports false when another owner holds.
func (l *Ledger) Hold(ctx context.Context, owner string, ttl time.Duration) (bool, error) {
	if !isWord(owner) || ttl < time.Millisecond || ttl > MaxWait {
		return false, fmt.Errorf("ledger: hold: %w: it needs an owner, and a time of at most %v", ErrInvalid, MaxWait)
	}
	return l.setHold(ctx, owner, ttl)
}

// Release ends a Hold of owner, and wakes the lanes. It reports false when another owner
// holds by now.
func (l *Ledger) Release(ctx context.Context, owner string) (bool, error) {
	return l.setHold(ctx, owner, 0)
}

func (l *Ledger) setHold(ctx context.Context, owner string, ttl time.Duration) (bool, error) {
	n, err := holdScript.Run(ctx, l.rdb, []string{l.holdKey}, owner, ttl.Milliseconds(), WakeChannel, l.phoneNumberID).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: hold: %w", err)
	}
	return n == 1, nil
}

package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/user"
)

// EndsIndex is the key of a sorted set: the phone number IDs that have timed blocks, by when the first of them
// ends, in Unix milliseconds.
const EndsIndex = "wablock:ends"

// Ended is the result of EndBlocks.
type Ended struct {
	// Blocks counts those whose time had come, superseded ones included.
	Blocks int
	// Next is the end of the next one; zero when there is none.
	Next time.Time
	// Dead are users whose block never succeeded, and whose dead letter, also of an older request, is to go with it.
	Dead []user.ID
}

// EndBlocks ends up to limit timed blocks whose time has come by Redis's clock, at most MaxBatch: an unblock
// takes the place of each that is still the last request for its user. With a limit of 0 it looks alone.
func (l *Ledger) EndBlocks(ctx context.Context, limit int) (Ended, error) {
	if err := checkBatch(limit); err != nil {
		return Ended{}, fmt.Errorf("ledger: end blocks: %w", err)
	}
	reply, err := endsScript.Run(ctx, l.rdb, append(slices.Clone(l.keys), l.endsKey, l.countsKey), WakeChannel, l.phoneNumberID, limit).Slice()
	if err != nil {
		return Ended{}, fmt.Errorf("ledger: end blocks: %w", err)
	}
	if len(reply) != 3 {
		return Ended{}, fmt.Errorf("ledger: end blocks: %w", ErrReply)
	}
	n, ok1 := reply[0].(int64)
	next, ok2 := reply[1].(int64)
	dead, ok3 := reply[2].(string)
	if !ok1 || !ok2 || !ok3 {
		return Ended{}, fmt.Errorf("ledger: end blocks: %w", ErrReply)
	}
	e := Ended{Blocks: int(n)}
	if next >= 0 {
		e.Next = time.UnixMilli(next)
	}
	for name := range strings.SplitSeq(dead, "\n") {
		if id, err := user.FromCanonical(name); err == nil {
			e.Dead = append(e.Dead, id)
		}
	}
	return e, nil
}

// EndsAt takes note that blocks of a phone number ID end at t; to be called after they were marked.
func EndsAt(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, t time.Time) error {
	err := rdb.ZAddArgs(ctx, EndsIndex, redis.ZAddArgs{LT: true, Members: []redis.Z{{Score: float64(t.UnixMilli()), Member: phoneNumberID}}}).Err()
	if err != nil {
		return fmt.Errorf("ledger: note an end: %w", err)
	}
	return nil
}

// MoveEnds moves a phone number ID in the index from at most from to to, or out of it where to is zero, and
// reports whether it did: who moves it first has the blocks to end.
func MoveEnds(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, from, to time.Time) (bool, error) {
	at := int64(0)
	if !to.IsZero() {
		at = to.UnixMilli()
	}
	n, err := moveEndsScript.Run(ctx, rdb, []string{EndsIndex}, phoneNumberID, from.UnixMilli(), at).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: move an end: %w", err)
	}
	return n == 1, nil
}

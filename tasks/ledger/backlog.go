package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Backlog counts the users that wait for a call.
type Backlog struct {
	Interactive, Bulk, Reconcile int
	// Later counts those that are in flight or wait for their next attempt.
	Later int
	// NextDue is the time until the first of Later may be claimed, negative when there is none.
	NextDue time.Duration
	// Oldest is the version of the request that waits in line longest, zero for none; its time is
	// that since when.
	Oldest Version
}

// UpTo counts the users that wait in q and in the queues that are served before it.
func (b Backlog) UpTo(q Queue) int {
	n := b.Interactive
	if q != Interactive {
		n += b.Bulk
	}
	if q == Reconcile {
		n += b.Reconcile
	}
	return n
}

// Waiting counts the users that could be claimed now.
func (b Backlog) Waiting() int { return b.UpTo(Reconcile) }

// Empty reports whether nothing waits and nothing is in flight.
func (b Backlog) Empty() bool { return b.Waiting() == 0 && b.Later == 0 }

// Backlog counts what waits, and changes nothing: a user that is due by now still counts as
// Later, with a NextDue of zero, until the next Claim.
func (l *Ledger) Backlog(ctx context.Context) (Backlog, error) {
	reply, err := backlogScript.Run(ctx, l.rdb, l.keys).Slice()
	if err != nil {
		return Backlog{}, fmt.Errorf("ledger: backlog: %w", err)
	}
	b, err := parseTally(reply)
	if err != nil {
		return Backlog{}, fmt.Errorf("ledger: backlog: %w", err)
	}
	return b, nil
}

// RestingFor returns how long all of the given users rest at least: none of them can be claimed
// before. It is 0 when one of them waits in line.
func (l *Ledger) RestingFor(ctx context.Context, users []user.ID) (time.Duration, error) {
	if len(users) == 0 {
		return 0, nil
	}
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Reveal()
	}
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: resting: %w", err)
	}
	due, err := l.rdb.ZMScore(ctx, l.keys[keyLater], names...).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: resting: %w", err)
	}
	// A user that does not rest has no score, which reads as zero.
	return max(0, time.UnixMilli(int64(slices.Min(due))).Sub(now)), nil
}

const tallySize = 6

func parseTally(reply []any) (Backlog, error) {
	if len(reply) != tallySize {
		return Backlog{}, ErrReply
	}
	var n [tallySize]int64
	for i := range n {
		var ok bool
		if n[i], ok = reply[i].(int64); !ok {
			return Backlog{}, ErrReply
		}
	}
	return Backlog{
		Interactive: int(n[0]), Bulk: int(n[1]), Reconcile: int(n[2]), Later: int(n[3]),
		NextDue: time.Duration(n[4]) * time.Millisecond, Oldest: Version(n[5]),
	}, nil
}

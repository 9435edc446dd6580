package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Backlog counts the users that wait for a call.
type Backlog struct {
	Interactive, Bulk, Reconcile int
	// Later counts those that are in flight or wait for their next attempt.
	Later int
	// NextDue is the time until the first of Later may be claimed, negative when there is none.
	NextDue time.Duration
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

// Backlog counts what waits, and changes nothing: whoever is due by now still counts as
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

const tallySize = 5

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
		NextDue: time.Duration(n[4]) * time.Millisecond,
	}, nil
}

// Line is one line of waiting users.
type Line struct {
	Queue     Queue
	Operation Operation
	Users     int
	// Oldest is the version of the request that has waited longest, zero when nobody waits.
	Oldest Version
}

// Lines looks at each line of waiting users, in the order in which their queues are served.
func (l *Ledger) Lines(ctx context.Context) ([]Line, error) {
	lines := make([]Line, 0, len(l.keys)-keyWaiting)
	cards := make([]*redis.IntCmd, 0, cap(lines))
	heads := make([]*redis.ZSliceCmd, 0, cap(lines))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, q := range Queues() {
			for _, o := range []Operation{Block, Unblock} {
				key := l.keys[keyWaiting+len(lines)]
				lines = append(lines, Line{Queue: q, Operation: o})
				cards = append(cards, p.ZCard(ctx, key))
				heads = append(heads, p.ZRangeWithScores(ctx, key, 0, 0))
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: lines: %w", err)
	}
	for i := range lines {
		lines[i].Users = int(cards[i].Val())
		if head := heads[i].Val(); len(head) > 0 {
			lines[i].Oldest = Version(head[0].Score)
		}
	}
	return lines, nil
}

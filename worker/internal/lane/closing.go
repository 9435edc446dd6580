package lane

import (
	"context"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

const (
	closingWithin = 2 * time.Hour // before the window of a user closes, from when a block goes before others
	closingMost   = 5000          // users that are looked at at a time; those whose windows close first
	closingEvery  = time.Minute   // between two looks
)

// hasten lets blocks that wait for long go before the windows of their users close: after that the API refuses them until
// the users write again. Failing costs their place alone.
func (l *lane) hasten(ctx context.Context) {
	if time.Since(l.hastened) < closingEvery {
		return
	}
	l.hastened = time.Now()
	ctx, cancel := context.WithTimeout(ctx, redisRetryDelay)
	defer cancel()
	closing, err := heard.Closing(ctx, l.cfg.Redis, l.number.ID, closingWithin, closingMost)
	moved := 0
	var names []user.ID
	for _, u := range closing {
		names = append(names, user.Spellings(u)...)
	}
	for chunk := range slices.Chunk(names, ledger.MaxBatch) {
		var n int
		if err == nil {
			n, err = l.ledger.Hasten(ctx, chunk)
		}
		moved += n
	}
	if err != nil {
		l.log.Warn("lane: blocks whose users can't be blocked for much longer keep their place", keyError, err.Error())
	}
	if moved > 0 {
		l.log.Info("lane: blocks go first whose users can't be blocked for much longer", keyUsers, moved)
	}
}

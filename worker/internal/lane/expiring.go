package lane

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

const (
	closingWithin = 2 * time.Hour // before the window of a user closes, from when a block goes before others
	closingMost   = 5000          // users that are looked at at a time; those whose windows close first
	closingEvery  = time.Minute   // between two looks
)

// expiringWindows lets blocks that wait for long go before the windows of their users close: after that the API refuses them until
// the users write again.
type expiringWindows struct {
	redis  redis.UniversalClient
	ledger *ledger.Ledger
	log    *slog.Logger
	looked time.Time // last
}

// hasten looks for such blocks, where it has not for a while. Failing costs their place alone.
func (c *expiringWindows) hasten(ctx context.Context) {
	if time.Since(c.looked) < closingEvery {
		return
	}
	c.looked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, redisRetryDelay)
	defer cancel()
	moved, err := c.move(ctx)
	if err != nil {
		c.log.Warn("lane: blocks whose users can't be blocked for much longer keep their place", keyError, err.Error())
	}
	if moved > 0 {
		c.log.Info("lane: blocks go first whose users can't be blocked for much longer", keyUsers, moved)
	}
}

func (c *expiringWindows) move(ctx context.Context) (moved int, err error) {
	users, err := heard.Closing(ctx, c.redis, c.ledger.PhoneNumberID(), closingWithin, closingMost)
	if err != nil {
		return 0, err
	}
	var names []user.ID
	for _, u := range users {
		names = append(names, user.Spellings(u)...)
	}
	for chunk := range slices.Chunk(names, ledger.MaxBatch) {
		n, err := c.ledger.Hasten(ctx, chunk)
		if moved += n; err != nil {
			return moved, err
		}
	}
	return moved, nil
}

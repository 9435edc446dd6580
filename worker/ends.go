package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

const (
	endsPoll   = time.Second      // between looks for timed blocks whose time has come
	endsAtOnce = 50               // phone number IDs of one look
	endsLease  = 20 * time.Second // until another worker goes on where one died
	endsRounds = 70               // of EndBlocks for one phone number ID: a full list
)

// ends ends timed blocks. All workers look, in the index of the phone number IDs that have some; the one
// that comes first moves a phone number ID's entry ahead while it ends the blocks.
type ends struct {
	redis redis.UniversalClient
	dead  *deadletter.Queue
	log   *slog.Logger
}

// run ends blocks until ctx ends.
func (e *ends) run(ctx context.Context) {
	failing := false
	for {
		if sleep(ctx, endsPoll); ctx.Err() != nil {
			return
		}
		err := e.pass(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			e.log.Error("worker: timed blocks could not be ended; it is tried again", keyError, err.Error())
		}
		failing = err != nil
	}
}

// pass ends the blocks whose time has come.
func (e *ends) pass(ctx context.Context) error {
	now, err := e.redis.Time(ctx).Result()
	if err != nil {
		return err
	}
	due, err := e.redis.ZRangeByScore(ctx, ledger.EndsIndex, &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(now.UnixMilli(), 10), Count: endsAtOnce,
	}).Result()
	if err != nil {
		return err
	}
	for _, id := range due {
		if queues.CheckPhoneNumberID(id) != nil {
			e.redis.ZRem(ctx, ledger.EndsIndex, id) // another program's
			continue
		}
		if err := e.end(ctx, id, now); err != nil {
			return fmt.Errorf("end blocks: %w", err)
		}
	}
	return nil
}

// end ends the blocks of a phone number ID. Its entry is moved ahead first, as a lease that outlives this worker, and at the
// end to the time of the next block. Blocks that are marked before that last look are seen by it; one that is marked after it
// sets the entry itself.
func (e *ends) end(ctx context.Context, id string, now time.Time) error {
	lease := now.Add(endsLease)
	mine, err := ledger.MoveEnds(ctx, e.redis, id, now, lease)
	if err != nil || !mine {
		return err
	}
	l := ledger.New(e.redis, id)
	n := 0
	for range endsRounds {
		done, err := l.EndBlocks(ctx, ledger.MaxBatch)
		if err != nil {
			return err
		}
		if err := e.dead.Remove(ctx, id, done.Dead...); err != nil {
			e.log.Warn("worker: dead letters of blocks that have ended are still there", keyError, err.Error()) // until they are compared with the ledger
		}
		if n += done.Blocks; done.Blocks < ledger.MaxBatch {
			break
		}
	}
	if n > 0 {
		e.log.Info("worker: timed blocks have ended", keyPhoneNumberID, id, "users", n)
	}
	next, err := l.EndBlocks(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := ledger.MoveEnds(ctx, e.redis, id, lease, next.Next); err != nil {
		return err
	}
	if next, err = l.EndBlocks(ctx, 0); err != nil || next.Next.IsZero() {
		return err
	}
	return ledger.EndsAt(ctx, e.redis, id, next.Next)
}

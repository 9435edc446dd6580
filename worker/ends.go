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
		if pause(ctx, endsPoll); ctx.Err() != nil {
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

// moveScript moves an entry of the index, if it is where it is expected to be; an entry that a producer
// moved meanwhile stays.
//
// KEYS[1]  the index
// ARGV     member, score it is expected to have at the most, new score ("" to remove it)
// Returns  1 when it was moved
var moveScript = redis.NewScript(`
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
end
return 1`)

func (e *ends) move(ctx context.Context, id string, from time.Time, to string) (bool, error) {
	n, err := moveScript.Run(ctx, e.redis, []string{ledger.EndsIndex}, id, from.UnixMilli(), to).Int()
	return n == 1, err
}

// end ends the blocks of a phone number ID. Its entry is moved ahead first, so that it outlives this worker, and
// where the next block ends at last. What is marked until then is seen by the look at the end; what is
// marked after it, is noted after it.
func (e *ends) end(ctx context.Context, id string, now time.Time) error {
	lease := now.Add(endsLease)
	mine, err := e.move(ctx, id, now, strconv.FormatInt(lease.UnixMilli(), 10))
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
	to := ""
	if !next.Next.IsZero() {
		to = strconv.FormatInt(next.Next.UnixMilli(), 10)
	}
	if _, err := e.move(ctx, id, lease, to); err != nil {
		return err
	}
	if next, err = l.EndBlocks(ctx, 0); err != nil || next.Next.IsZero() {
		return err
	}
	return ledger.EndsAt(ctx, e.redis, id, next.Next)
}

package deadletter_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestRedriveYieldsToNewRequests redrives an unblock that failed, while a block is
// requested: once in the moment in which the redrive has just seen that none was, once with a
// producer that has its version, and is late with all else.
func TestRedriveYieldsToNewRequests(t *testing.T) {
	t.Parallel()
	for name, redrive := range map[string]func(t *testing.T, f *fixture){
		"by command": func(t *testing.T, f *fixture) {
			t.Helper()
			must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		},
		"by the web UI": func(t *testing.T, f *fixture) {
			t.Helper()
			id := must(f.Redis.ZRange(t.Context(), "asynq:{dead-letter}:scheduled", 0, 0).Result())(t)[0]
			info := f.Task(queues.DeadLetter, id)
			if err := deadletter.RedriveTask(t.Context(), f.dead, f.Producer, asynq.NewTask(info.Type, info.Payload)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				f.fail(ledger.Unblock, 1)
				asked := false
				f.Redis.(*redis.Client).AddHook(&redistest.Hook{Lose: func(cmd redis.Cmder) bool {
					if cmd.Name() == "hmget" && redistest.Touches(cmd, "wablock:{"+phoneNumberID+"}:users") && !asked {
						asked = true
						f.Mark(ledger.Block, num(1))
					}
					return false
				}})
				redrive(t, f)
				if e := must(f.Ledger.Entries(t.Context(), nums(2)[1:]))(t)[0]; !asked || e.Operation != ledger.Block {
					t.Errorf("the redrive of an unblock won over a newer block: %v", asked)
				}
			})
			each(t, func(t *testing.T, f *fixture) {
				f.fail(ledger.Unblock, 1)
				v := must(f.Ledger.NextVersion(t.Context()))(t)
				redrive(t, f)
				must(f.Ledger.Mark(t.Context(), []ledger.Request{{User: num(1), Operation: ledger.Block, Queue: ledger.Bulk, Version: v}}))(t)
				if e := must(f.Ledger.Entries(t.Context(), nums(2)[1:]))(t)[0]; e.Operation != ledger.Block {
					t.Error("the redrive of an unblock won over a block that was accepted before it")
				}
			})
		})
	}
}

// TestPutAcrossAFailover: Redis loses its last second while a letter is put, so that its user waits again; the user's
// success must find the letter.
func TestPutAcrossAFailover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.die(ledger.Block, num(1))
		e := must(f.Ledger.Entries(t.Context(), nums(2)[1:]))(t)[0]
		failed := false
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Lose: func(cmd redis.Cmder) bool {
			if cmd.Name() == "sadd" && redistest.Touches(cmd, indexKey) && !failed {
				failed = true
				must(f.Redis.Del(t.Context(), indexKey, "wablock:{"+phoneNumberID+"}:users").Result())(t)
				f.Mark(ledger.Block, num(1))
			}
			return false
		}})
		f.put(deadletter.Of(phoneNumberID, e))
		f.succeed(ledger.Unblock, num(1))
		if err := f.dead.Remove(t.Context(), phoneNumberID, num(1)); err != nil {
			t.Fatal(err)
		}
		if !failed {
			t.Error("nothing was lost")
		}
		if n := f.count(); n != 0 {
			t.Errorf("%d entries are left of a user who has succeeded", n)
		}
	})
}

// TestRemoveAcrossAFailover: Redis loses its last second between the two halves of a removal, so that the letter is back,
// and the index still lacks it.
func TestRemoveAcrossAFailover(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 1)
		id := must(f.Redis.ZRange(t.Context(), "asynq:{dead-letter}:scheduled", 0, 0).Result())(t)[0]
		letter, back := f.Task(queues.DeadLetter, id), false
		other := redis.NewClient(f.Redis.(*redis.Client).Options())
		t.Cleanup(func() { _ = other.Close() })
		client := asynq.NewClientFromRedisClient(other)
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Before: func(cmd redis.Cmder) {
			if cmd.Name() == "srem" && redistest.Touches(cmd, indexKey) && !back {
				back = true
				_ = must(client.Enqueue(asynq.NewTask(letter.Type, letter.Payload), asynq.TaskID(id), asynq.Queue(queues.DeadLetter),
					asynq.ProcessAt(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))))(t)
			}
		}})
		f.succeed(ledger.Unblock, num(1))
		if err := f.dead.Remove(t.Context(), phoneNumberID, num(1)); err != nil {
			t.Fatal(err)
		}
		if n := f.count(); !back || n != 0 {
			t.Errorf("%d entries are left of a user who has succeeded", n)
		}
	})
}

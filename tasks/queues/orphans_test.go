package queues_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// TestOrphans finds tasks whose lease has run out, or is missing, however many.
func TestOrphans(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const n, known = 250, 220
		const active, lease = "asynq:{interactive}:active", "asynq:{interactive}:lease"
		for i := range n {
			id := fmt.Sprintf("j%d", i)
			must(f.Producer.Enqueue(t.Context(), tasks.Request{Operation: tasks.Block, Users: nums(1), JobID: id}))(t)
			id += ":0"
			f.Redis.LRem(t.Context(), "asynq:{interactive}:pending", 0, id)
			f.Redis.LPush(t.Context(), active, id)
			f.Redis.HSet(t.Context(), "asynq:{interactive}:t:"+id, "state", "active")
			switch i % 5 {
			case 0: // its lease is missing
			case 1: // its worker lives
				f.Redis.ZAdd(t.Context(), lease, redis.Z{Score: 4e9, Member: id})
			default:
				f.Redis.ZAdd(t.Context(), lease, redis.Z{Score: float64(i), Member: id})
			}
		}
		seen := map[string]time.Time{}
		skip := func(id string, at time.Time) bool { return seen[id].Equal(at) && len(seen) > 0 }
		for range 2 {
			for _, o := range must(queues.Orphans(t.Context(), f.Redis, ledger.Interactive, known/2, skip))(t) {
				seen[o.TaskID] = o.Lease
			}
		}
		if len(seen) != n/5*4 {
			t.Errorf("%d orphans", len(seen))
		}
		for id := range seen {
			if i := 0; must(fmt.Sscanf(id, "j%d:0", &i))(t) == 1 && i%5 == 1 {
				t.Errorf("the worker of %s lives", id)
			}
		}
		left := must(f.Redis.ZRangeByScore(t.Context(), lease, &redis.ZRangeBy{Min: "-inf", Max: "3e9"}).Result())(t)
		if len(left) != n/5*4 || !slices.ContainsFunc(left, func(id string) bool { return strings.HasPrefix(id, "j0:") }) {
			t.Errorf("asynq will recover %d tasks", len(left))
		}
	})
}

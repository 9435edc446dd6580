package learnbench

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/limittest"
)

// wablock is the law under test, in the limiter that one process would use; all processes share it, as they share Redis.
type wablock struct {
	limiter ratelimit.Limiter
	now     *time.Duration
}

// ceiling is configured far above every limit in the table, so that it gives nothing away.
const ceiling = 200

var key = ratelimit.Key{PhoneNumberID: "1"}

func newWablock(seed uint64) strategy { return newWablockWith(seed, ratelimit.Settings{Rate: ceiling}) }

func newWablockWith(seed uint64, set ratelimit.Settings) strategy {
	w := &wablock{now: new(time.Duration)}
	rng := rand.New(rand.NewPCG(seed, 2))
	w.limiter = limittest.NewMemory(
		func(string) ratelimit.Settings { return set },
		limittest.MemoryConfig{Now: func() time.Time { return epochStart.Add(*w.now) }, Jitter: rng.Float64},
	)
	return w
}

func (w *wablock) take(_ int, now time.Duration) (permit, bool, time.Duration) {
	*w.now = now
	g, err := w.limiter.Take(context.Background(), key)
	if err != nil {
		panic(err)
	}
	return permit{users: g.MaxUsers, more: g}, g.OK, g.Wait
}

func (w *wablock) report(_ int, now time.Duration, p permit, limited bool, stated time.Duration) {
	*w.now = now
	o := ratelimit.Observation{Users: p.users, Limited: limited, RetryAfter: stated, Served: !limited}
	if err := w.limiter.Report(context.Background(), key, p.more.(ratelimit.Grant), o); err != nil {
		panic(err)
	}
}

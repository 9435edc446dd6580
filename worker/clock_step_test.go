package worker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// setClock sets Redis's clock off by d, until stop is called.
func (b *bubble) setClock(d time.Duration) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	b.mini.SetTime(time.Now().Add(d).UTC())
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Millisecond):
				b.mini.SetTime(time.Now().Add(d).UTC())
			}
		}
	}()
	return func() { close(end); <-ended }
}

// TestClockStepWhileLimited: Redis's clock is set by an hour while the API limits all calls. Once it does not, all goes on.
func TestClockStepWhileLimited(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
				var limited atomic.Bool
				api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
					if limited.Load() {
						c.raw(400, "application/json", `{"error":{"code":130429,"message":"m"}}`)
					}
					return limited.Load()
				}}
				b.world.options = []client.Option{client.WithTransport(inProcess{api})}
				b.cfg.Logger = nil
				b.cfg.Limiter = redislimit.New(b.rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 2, Burst: 2, MaxUsers: 50} })
				defer b.run()()
				defer b.run()()
				b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(3000, 100)...), time.Minute)
				limited.Store(true)
				job := b.enqueue(ledger.Block, numbersFrom(0, 200)...)
				<-time.After(15 * time.Second)
				defer b.setClock(d)()
				<-time.After(40 * time.Second)
				limited.Store(false)
				start := time.Now()
				b.succeedWithin(b.enqueue(ledger.Block, "+16505552222"), 2*time.Minute)
				t.Logf("a new request after %v", time.Since(start))
				b.succeedWithin(job, 5*time.Minute)
				t.Logf("all after %v", time.Since(start))
			})
		})
	}
}

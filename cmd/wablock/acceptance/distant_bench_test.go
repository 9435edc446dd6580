package acceptance

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/faultproxy"
	"github.com/wablock/wablock/tasks"
)

// BenchmarkDistant drains 64,000 jobs of one number that wait already, through a Redis that is more than a millisecond
// away, against an API without a limit. numbers/s is from the worker's start until each number has its result; jobs/s is how fast their
// tasks end after that, in 20 s.
func BenchmarkDistant(b *testing.B) {
	for b.Loop() {
		s := newSystem(b, simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(benchLatency)}})
		p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID, Retention: time.Minute})
		if err != nil {
			b.Fatal(err)
		}
		enqueueSingles(b, p, numbers(benchNumbers))
		proxy, err := faultproxy.Listen(s.redis.Addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(proxy.Close)
		proxy.Delay(500 * time.Microsecond) // each way, at the least
		s.env = append(s.env, "WABLOCK_REDIS_URL=redis://"+proxy.Addr()+"/0", "WABLOCK_RATE=100", "WABLOCK_LOG_LEVEL=warn")
		begin := time.Now()
		s.quietWorker("worker")
		s.drained(benchNumbers)
		b.ReportMetric(benchNumbers/time.Since(begin).Seconds(), "numbers/s")
		pending := func() int64 {
			n, err := s.rdb.LLen(b.Context(), "asynq:{bulk}:pending").Result()
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
		begin = time.Now()
		before := pending()
		s.pause(20 * time.Second)
		b.ReportMetric(float64(before-pending())/time.Since(begin).Seconds(), "jobs/s")
		b.ReportMetric(0, "ns/op")
	}
}

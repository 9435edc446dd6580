package learnbench

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkElsewhere plays limits, latencies and seeds that the law was not tuned on.
//
//	go test ./ratelimit/learnbench -run '^$' -bench Elsewhere -benchtime 1x
func BenchmarkElsewhere(b *testing.B) {
	for _, latency := range []time.Duration{50 * time.Millisecond, 150 * time.Millisecond, 500 * time.Millisecond} {
		for _, limit := range []float64{0.3, 0.5, 1, 2, 3, 5, 10, 35, 50} {
			b.Run(fmt.Sprintf("token-bucket/%vps/%v", limit, latency), func(b *testing.B) {
				reportElsewhere(b, limit, latency, tokenBucket)
			})
		}
		b.Run(fmt.Sprintf("lock-out/%vps/%v", lockoutRate, latency), func(b *testing.B) {
			reportElsewhere(b, lockoutRate, latency, lockout)
		})
	}
}

func reportElsewhere(b *testing.B, limit float64, latency time.Duration, build func(*world, float64)) {
	b.Helper()
	var m result
	for b.Loop() {
		var all []result
		for seed := uint64(1000); seed < 1000+seeds; seed++ {
			s := scenario{limit: limit, processes: 1 + 7*int(seed%2), build: build}
			w := s.world(seed)
			w.latency = latency
			all = append(all, measure(s, w, w.run(newWablock(seed))))
		}
		m = mean(all)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(100*m.used, "%used")
	b.ReportMetric(100*m.rejected, "%rejected")
}

package redislimit

import (
	"testing"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

// BenchmarkTakeReport measures the cost of one call: a Take with an account, and a report that need not be told.
func BenchmarkTakeReport(b *testing.B) {
	rdb := redistest.Real(b)
	l := New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: ratelimit.MaxRate, Burst: 1000} })
	alice := newKey()
	b.ReportAllocs()
	for b.Loop() {
		g, err := l.Take(b.Context(), alice)
		if err != nil {
			b.Fatal(err)
		}
		if !g.OK {
			continue
		}
		if err := l.Report(b.Context(), alice, g, ratelimit.Observation{Users: 1000, Served: true}); err != nil {
			b.Fatal(err)
		}
	}
}

package tasks_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// A file of 64,000 numbers, from numbers to marked tasks in a Redis beside it.
func BenchmarkEnqueue64000(b *testing.B) {
	f := setup(b, redistest.Real(b))
	users := nums(64_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Producer.Enqueue(b.Context(), tasks.Request{Operation: ledger.Block, Users: users}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnqueueOne(b *testing.B) {
	f := setup(b, redistest.Real(b))
	users := nums(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Producer.Enqueue(b.Context(), tasks.Request{Operation: ledger.Block, Users: users}); err != nil {
			b.Fatal(err)
		}
	}
}

// Requests for single users from 64 goroutines, through a Batcher, to marked tasks in a Redis beside it. Each goroutine
// has up to a hundred requests without an answer.
func BenchmarkBatcher(b *testing.B) {
	f := setup(b, redistest.Real(b))
	batcher, err := tasks.NewBatcher(f.Producer, tasks.BatcherConfig{})
	if err != nil {
		b.Fatal(err)
	}
	users := make([]string, 64_000)
	for i := range users {
		users[i] = num(i).Reveal()
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			open := make([]*tasks.Pending, 0, 100)
			answer := func() {
				for _, p := range open {
					if _, err := p.Wait(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
				open = open[:0]
			}
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				p, err := batcher.Add(b.Context(), tasks.Block, users[int(n)%len(users)])
				if err != nil {
					b.Error(err)
					return
				}
				if open = append(open, p); len(open) == cap(open) {
					answer()
				}
			}
			answer()
		})
	}
	wg.Wait()
	if err := batcher.Close(b.Context()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

package tasks_test

import (
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

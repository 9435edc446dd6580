package deadletter_test

import (
	"testing"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// deadLetters10000 is a dead-letter queue with 10,000 users.
func deadLetters10000(b *testing.B) *fixture {
	b.Helper()
	f := setup(b, redistest.Real(b))
	letters := make([]deadletter.Letter, 10_000)
	for i := range letters {
		letters[i] = letter(i, 1)
	}
	f.put(letters...)
	return f
}

func BenchmarkListDeadLetters10000(b *testing.B) {
	f := deadLetters10000(b)
	b.ReportAllocs()
	for b.Loop() {
		if got := f.all(deadletter.Filter{}); len(got) != 10_000 {
			b.Fatalf("%d entries", len(got))
		}
	}
}

func BenchmarkPutDeadLetter(b *testing.B) {
	f := deadLetters10000(b)
	v := ledger.Version(1)
	b.ReportAllocs()
	for b.Loop() {
		v++
		f.put(letter(1, v))
	}
}

func BenchmarkGetDeadLetter(b *testing.B) {
	f := deadLetters10000(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := f.get(1); !ok {
			b.Fatal("not found")
		}
	}
}

// A worker removes after each call of 1,000 users, who have no letter.
func BenchmarkRemoveNothing1000(b *testing.B) {
	f := deadLetters10000(b)
	users := nums(20_000)[19_000:]
	b.ReportAllocs()
	for b.Loop() {
		if err := f.dead.Remove(b.Context(), phoneNumberID, users...); err != nil {
			b.Fatal(err)
		}
	}
}

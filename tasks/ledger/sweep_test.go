package ledger_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestClaimCatchesUp: one claim puts more users in line again than it takes, of any number whose deadline has passed, and
// claims those that have waited longest.
func TestClaimCatchesUp(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		const late = 2500
		for from := 0; from < late; from += ledger.MaxBatch {
			v := f.version()
			var requests []ledger.Request
			for i := from; i < min(late, from+ledger.MaxBatch); i++ {
				requests = append(requests, ledger.Request{User: num(t, i), Operation: ledger.Block, Queue: ledger.Bulk, Version: v})
			}
			must(f.Mark(t.Context(), requests))
			f.claim(len(requests), "")
		}
		past := make([]redis.Z, late)
		for i := range past {
			past[i] = redis.Z{Score: float64(i/ledger.MaxBatch + 1), Member: num(t, i).Reveal()}
		}
		must(rdb.ZAdd(t.Context(), laterKey, past...).Result())
		for left := late; left > 0; {
			c := f.claim(ledger.MaxBatch, "")
			if want := min(left, ledger.MaxBatch); len(c.Users) != want || c.Resting != 0 {
				t.Fatalf("%d users were claimed with %d left, %d rest", len(c.Users), left, c.Resting)
			}
			left -= len(c.Users)
			if waiting := must(f.Backlog(t.Context())).Waiting(); left == late-ledger.MaxBatch && waiting < ledger.MaxBatch {
				t.Errorf("%d wait after the first claim", waiting)
			}
		}
	})
}

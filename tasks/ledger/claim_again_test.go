package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// claimAgain repeats a claim, as a client does whose reply got lost, at any time after. It must
// name the users that the claim holds, for the request that it was made for; check sees that nothing has
// changed.
func (w *world) claimAgain(t *rapid.T) {
	c := w.pick(t, func(c *apiCall) bool { return !c.renewed })
	if c == nil {
		return
	}
	again, err := w.Claim(w.ctx, ledger.ClaimOptions{
		ID: c.ID, Max: rapid.IntRange(0, 4).Draw(t, "max"), Timeout: 10 * time.Minute,
		Only: rapid.SampledFrom([]ledger.Operation{"", ledger.Block, ledger.Unblock}).Draw(t, "only"),
	})
	ok(t, err)
	want, got := map[user.ID]ledger.Claimed{}, map[user.ID]ledger.Claimed{}
	for _, u := range c.Users {
		if r := w.ref.users[u.User]; r != nil && r.claim == c.ID && r.state == ledger.InFlight && r.place == later {
			want[u.User] = u
		}
	}
	for _, u := range again.Users {
		got[u.User] = u
	}
	same(t, want, got)
	if len(got) != len(again.Users) || len(got) > 0 && again.Operation != c.Operation {
		t.Fatalf("%+v", again)
	}
}

// TestClaimWhoseReplyGetsLost cuts the connection when the reply of a claim has come: the client
// asks again, and must be told of the users that the first try took.
func TestClaimWhoseReplyGetsLost(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) string{
		"mini":  func(t *testing.T) string { m, _ := redistest.Mini(t); return m.Addr() },
		"redis": func(t *testing.T) string { return redistest.Start(t).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &redistest.Lossy{Key: ":hold"} // as claims do
			rdb := redis.NewClient(&redis.Options{Addr: start(t), Dialer: l.Dial})
			t.Cleanup(func() { _ = rdb.Close() })
			f := setup(t, rdb)
			f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1), num(t, 2), num(t, 3), num(t, 4))
			f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed}) // the server knows the scripts
			l.Lose.Store(1)
			c := f.claim(2, "")
			if l.Lose.Load() != 0 {
				t.Fatal("no reply was lost")
			}
			if d := cmp.Diff([]string{"0002", "0003"}, names(c)); d != "" || c.Operation != ledger.Block {
				t.Errorf("%v %s", c.Operation, d)
			}
			if c.Backlog.Waiting() != 1 || c.Backlog.Later != 2 {
				t.Errorf("a second claim was made: %+v", c.Backlog)
			}
			for _, s := range f.settle(c, ledger.Settlement{Do: ledger.Succeed}) {
				if s.State != ledger.Succeeded {
					t.Errorf("settled: %+v", s)
				}
			}
		})
	}
}

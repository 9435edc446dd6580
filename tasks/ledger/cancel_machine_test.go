package ledger_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestCancelAgainstTheLastRequest runs scripts of requests, cancels and calls for one user. In the end
// the last request decides of those that were not canceled before they went out, and each job counts its user once.
func TestCancelAgainstTheLastRequest(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		scripts := 0
		rapid.Check(t, func(rt *rapid.T) {
			scripts++
			l := ledger.New(rdb, fmt.Sprintf("2%014d", scripts))
			id := num(t, 1)
			type request struct {
				version       ledger.Version
				op            ledger.Operation
				out, canceled bool
			}
			var history []request
			var calls []ledger.Claim
			must := func(err error) {
				if err != nil {
					rt.Helper()
					rt.Fatal(err)
				}
			}
			ask := func() {
				op := rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(rt, "op")
				v, err := l.Register(t.Context(), ledger.JobRecord{ID: fmt.Sprint("job ", len(history)), Operation: op, Queue: ledger.Bulk, Accepted: 1, Parts: 1}, ledger.Text{}, 0, ledger.JobLimits{})
				must(err)
				history = append(history, request{version: v, op: op})
				if rapid.IntRange(0, 9).Draw(rt, "marked") == 0 { // its task marks it later
					return
				}
				_, err = l.Mark(t.Context(), []ledger.Request{{User: id, Operation: op, Queue: ledger.Bulk, Version: v, Job: ledger.JobRef{Counted: true, Text: ledger.Text{}.Digest(), Part: 1}}})
				must(err)
			}
			settle := func() {
				c := calls[0]
				calls = calls[1:]
				for _, u := range c.Users {
					_, err := l.Settle(t.Context(), c.ID, []ledger.Settlement{{User: u.User, Version: u.Version, Verdict: ledger.Succeed, Effect: c.Operation}})
					must(err)
				}
			}
			claim := func() bool {
				c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("c%d-%d", scripts, len(history)*1000+rapid.IntRange(0, 1<<30).Draw(rt, "claim")), Max: 1, Hold: ledger.MaxWait})
				must(err)
				for _, u := range c.Users {
					calls = append(calls, c)
					for i := range history {
						history[i].out = history[i].out || history[i].version == u.Version
					}
				}
				return len(c.Users) > 0
			}
			for range rapid.IntRange(2, 14).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"ask", "ask", "cancel", "cancel", "claim", "settle"}).Draw(rt, "step") {
				case "ask":
					if len(history) < 5 { // more than what is kept of displaced requests
						ask()
					}
				case "cancel":
					if len(history) > 0 {
						i := rapid.IntRange(0, len(history)-1).Draw(rt, "which")
						_, err := l.Cancel(t.Context(), history[i].version)
						must(err)
						must(l.Withdraw(t.Context(), history[i].version, 1, []user.ID{id}))
						history[i].canceled = true
					}
				case "claim":
					claim()
				case "settle":
					if len(calls) > 0 {
						settle()
					}
				}
			}
			for _, h := range history { // the tasks
				_, err := l.Mark(t.Context(), []ledger.Request{{User: id, Operation: h.op, Queue: ledger.Bulk, Version: h.version, Job: ledger.JobRef{Counted: true, Text: ledger.Text{}.Digest(), Part: 1}}})
				must(err)
			}
			for len(calls) > 0 || claim() {
				settle()
			}
			want := "unknown"
			for _, h := range history {
				if h.out || !h.canceled {
					want = string(h.op) + " succeeded"
				}
			}
			entries, err := l.Entries(t.Context(), []user.ID{id})
			must(err)
			got := "unknown"
			if e := entries[0]; e.State != ledger.Unknown {
				got = string(e.Operation) + " " + e.State.String()
			}
			if got != want {
				rt.Fatalf("it is %s, and should be %s: %+v", got, want, history)
			}
			for i := range history {
				j, ok, err := l.JobByID(t.Context(), fmt.Sprint("job ", i))
				must(err)
				if !ok || j.Counts.Ended() != 1 {
					rt.Fatalf("job %d counts %+v: %+v", i, j.Counts, history)
				}
			}
		})
	})
}

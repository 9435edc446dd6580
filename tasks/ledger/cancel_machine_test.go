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
				version                ledger.Version
				op                     ledger.Operation
				out, canceled, refused bool
			}
			var history []request
			var calls []ledger.Claim
			var list ledger.Operation // what the last call has done
			must := func(err error) {
				if err != nil {
					rt.Helper()
					rt.Fatal(err)
				}
			}
			entry := func() ledger.Entry {
				entries, err := l.Entries(t.Context(), []user.ID{id})
				must(err)
				return entries[0]
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
				as := ledger.Settlement{Do: ledger.Succeed, Effect: c.Operation}
				switch rapid.SampledFrom([]string{"served", "served", "answer lost", "refused"}).Draw(rt, "call") {
				case "answer lost":
					as.Do = ledger.Wait
				case "refused":
					as.Do, as.Effect = ledger.Wait, ""
				}
				if as.Effect != "" {
					list = c.Operation
				}
				for _, u := range c.Users {
					as.User, as.Version = u.User, u.Version
					for i := range history {
						history[i].refused = history[i].refused || history[i].version == u.Version && as.Effect == ""
					}
					_, err := l.Settle(t.Context(), c.ID, []ledger.Settlement{as})
					must(err)
				}
			}
			claims := 0
			claim := func() bool {
				claims++
				c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("c%d-%d", scripts, claims), Max: 1, Timeout: ledger.MaxWait})
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
						before := entry()
						_, err := l.Cancel(t.Context(), history[i].version)
						must(err)
						must(l.Withdraw(t.Context(), history[i].version, 1, []user.ID{id}))
						history[i].canceled = true
						// A request whose call ended while another one had displaced it may wait once more, and then it can be withdrawn.
						if before.Version == history[i].version && before.State == ledger.Waiting && entry().Version != before.Version {
							history[i].out = false
						}
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
			// A canceled request whose call was refused may have been withdrawn since, or have gone on.
			want := map[string]bool{"unknown": true}
			for _, h := range history {
				if h.out || !h.canceled {
					if !h.canceled || !h.refused {
						clear(want)
					}
					want[string(h.op)+" succeeded"] = true
				}
			}
			got, e := "unknown", entry()
			if e.State != ledger.Unknown {
				got = string(e.Operation) + " " + e.State.String()
			}
			if !want[got] || e.Operation != list {
				rt.Fatalf("it is %s, and should be of %v; the last call was to %s: %+v", got, want, list, history)
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

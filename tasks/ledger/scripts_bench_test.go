package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// BenchmarkLongestScript measures how long one call of each script holds Redis up while a million users wait, by Redis's own
// SLOWLOG, in the largest batch that there is: the median of twenty. "claim-late" is
// a claim that finds 2,000 users whose deadline has passed.
//
//	go test ./tasks/ledger -run '^$' -bench LongestScript -benchtime 1x -timeout 30m
func BenchmarkLongestScript(b *testing.B) {
	rdb := redistest.Real(b)
	f := setup(b, rdb)
	ctx := b.Context()
	const waiting, rounds = 1_000_000, 20
	requests := make([]ledger.Request, ledger.MaxBatch)
	next := 0
	mark := func() []ledger.Request {
		v := f.version()
		for i := range requests {
			u := must(user.FromCanonical(fmt.Sprintf("+1650%07d", 2_000_000+next)))
			requests[i] = ledger.Request{User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: v}
			next++
		}
		must(f.Mark(ctx, requests))
		return requests
	}
	for next < waiting {
		mark()
	}
	took := map[string][]time.Duration{}
	must(rdb.ConfigSet(ctx, "slowlog-log-slower-than", "0").Result())
	timed := func(script string, do func()) {
		must(rdb.SlowLogReset(ctx).Result())
		do()
		var longest time.Duration
		for _, e := range must(rdb.SlowLogGet(ctx, -1).Result()) {
			if e.Args[0] == "evalsha" || e.Args[0] == "eval" {
				longest = max(longest, e.Duration)
			}
		}
		took[script] = append(took[script], longest)
	}
	n := 0
	claim := func() (c ledger.Claim) {
		n++
		c = must(f.Claim(ctx, ledger.ClaimOptions{ID: fmt.Sprintf("w-%d", n), Max: ledger.MaxBatch, Timeout: 10 * time.Minute}))
		if len(c.Users) != ledger.MaxBatch {
			b.Fatalf("%d users were claimed", len(c.Users))
		}
		return c
	}
	for b.Loop() {
		for range rounds {
			var marked []ledger.Request
			timed("mark", func() { marked = mark() })
			timed("look", func() { must(f.Mark(ctx, marked)) })
			var c ledger.Claim
			timed("claim", func() { c = claim() })
			settlements := make([]ledger.Settlement, len(c.Users))
			for i, u := range c.Users {
				settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: u.User.Reveal()[1:]}
			}
			timed("renew", func() { must(f.Renew(ctx, c.ID, c.Users, 10*time.Minute, ledger.Block)) })
			timed("settle", func() { must(f.Settle(ctx, c.ID, settlements)) })
			timed("backlog", func() { must(f.Backlog(ctx)) })

			var past []redis.Z
			for range 2 {
				for _, u := range claim().Users {
					past = append(past, redis.Z{Score: 1, Member: u.User.Reveal()})
				}
			}
			must(rdb.ZAdd(ctx, laterKey, past...).Result())
			timed("claim-late", func() { c = claim() })
			timed("take-over", func() { must(f.TakeOver(ctx, fmt.Sprintf("w-%d", n))) })
		}
	}
	var longest time.Duration
	for script, all := range took {
		slices.Sort(all)
		median := all[len(all)/2]
		longest = max(longest, median)
		b.ReportMetric(float64(median.Microseconds())/1000, script+"-ms")
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
	b.ReportMetric(0, "ns/op")
}

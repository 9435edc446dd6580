package simulator_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	start := func(t *testing.T, sc simulator.Scenario) rig {
		return setupConfig(t, simulator.Config{Scenario: sc, Now: func() time.Time { return now }})
	}
	us := users(5)
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Scenario{Limits: []simulator.Limit{{Rate: 0.5, Burst: 2}}, Answers: simulator.Answers{RetryAfter: true}})
		g.want(g.block(us...), 200, 0)
		g.want(g.list(""), 200, 0)
		r := g.unblock(us...)
		g.want(r, 400, 130429)
		if got := r.Header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After %q, want 2", got)
		}
		if len(g.Snapshot(phone)) != len(us) {
			t.Error("a refused call took effect")
		}
		g.want(g.do(request("GET", "/1/block_users", "")), 200, 0) // another's budget
		changed := g.Scenario()
		changed.Latency.Base = 0
		changed.Answers.RetryAfter = false
		if err := g.SetScenario(changed); err != nil {
			t.Fatal(err)
		}
		g.want(g.list(""), 400, 130429) // the limit did not change, so its count goes on
		changed.Limits = []simulator.Limit{{Rate: 1, Burst: 1}}
		if err := g.SetScenario(changed); err != nil {
			t.Fatal(err)
		}
		g.want(g.list(""), 200, 0)
	})
	t.Run("users", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Scenario{Limits: []simulator.Limit{{Users: 8, UsersPerCall: 4, ListingFree: true}}})
		g.want(g.block(us...), 400, 130429)
		g.want(g.block(us[:4]...), 200, 0)
		g.want(g.block(us[:4]...), 200, 0)
		g.want(g.block(us[:1]...), 400, 130429)
		g.want(g.list(""), 200, 0)
	})
	t.Run("account", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Scenario{
			PhoneNumbers: []simulator.PhoneNumber{{ID: "9", Account: "another"}},
			Limits:       []simulator.Limit{{Scope: "account", Calls: 2}, {Scope: "app", Calls: 4}},
		})
		g.want(g.list(""), 200, 0)
		g.want(g.do(request("GET", "/1/block_users", "")), 200, 0)
		g.want(g.list(""), 400, 80007)
		g.want(g.do(request("GET", "/9/block_users", "")), 200, 0)
		g.want(g.do(request("GET", "/9/block_users", "")), 200, 0)
		if err := g.SetScenario(simulator.Scenario{Limits: []simulator.Limit{{Scope: "app", Calls: 1}}}); err != nil {
			t.Fatal(err)
		}
		g.want(g.list(""), 200, 0)
		g.want(g.do(request("GET", "/9/block_users", "")), 429, 4)
	})
	t.Run("lockout", func(t *testing.T) {
		t.Parallel()
		clock := now
		g := setupConfig(t, simulator.Config{
			Now:      func() time.Time { return clock },
			Scenario: simulator.Scenario{Limits: []simulator.Limit{{Rate: 1, Lockout: simulator.Duration(2 * time.Second)}}},
		})
		g.want(g.list(""), 200, 0)
		g.want(g.list(""), 400, 130429)
		clock = clock.Add(1900 * time.Millisecond)
		g.want(g.list(""), 400, 130429)
		clock = clock.Add(1000 * time.Millisecond)
		g.want(g.list(""), 400, 130429)
		clock = clock.Add(1200 * time.Millisecond)
		g.want(g.list(""), 200, 0)
	})
}

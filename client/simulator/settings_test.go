package simulator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) *simulator.Duration { return new(simulator.Duration(d)) }
	us := users(4)
	sc := simulator.Scenario{
		Window: simulator.Window{SilentShare: 1},
		Users:  []simulator.User{{User: us[0], Wrote: ago(23 * time.Hour)}, {User: us[1], Wrote: ago(24 * time.Hour)}, {User: us[2], Silent: true}},
	}
	g := setupConfig(t, simulator.Config{Now: func() time.Time { return now }, Scenario: sc})
	silent := func(want ...string) {
		t.Helper()
		got := g.block(us...).failures()
		wanted := map[string]int{}
		for _, u := range want {
			wanted[u] = 131047
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Error(diff)
		}
		g.unblock(us...)
	}
	silent(us[1:]...)
	for _, u := range us[2:] {
		if err := g.UserWrote(phone, u, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	silent(us[1])
	now = now.Add(time.Hour)
	silent(us[0], us[1])
	now = now.Add(23 * time.Hour)
	silent(us...)
}

func TestWindowSettings(t *testing.T) {
	t.Parallel()
	u := users(1)[0]
	strict := simulator.Window{SilentShare: 1}
	seeded := []simulator.PhoneNumber{{ID: phone, Blocked: []string{u}}}
	t.Run("on the list already", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Window: strict, PhoneNumbers: seeded})
		g.want(g.block(u), 200, 0)
		g.want(g.unblock(u), 200, 0)
		g.want(g.block(u), 400, 139100)
	})
	t.Run("blocked_too", func(t *testing.T) {
		t.Parallel()
		w := strict
		w.BlockedToo = true
		g := setup(t, simulator.Scenario{Window: w, PhoneNumbers: seeded})
		g.want(g.block(u), 400, 139100)
	})
	t.Run("unblock_too", func(t *testing.T) {
		t.Parallel()
		w := strict
		w.UnblockToo = true
		g := setup(t, simulator.Scenario{Window: w, PhoneNumbers: seeded})
		g.want(g.unblock(u), 400, 139100)
	})
	t.Run("scope account", func(t *testing.T) {
		t.Parallel()
		for scope, status := range map[string]int{"phone_number": 400, "account": 200} {
			w := strict
			w.Scope = scope
			g := setup(t, simulator.Scenario{Window: w})
			if err := g.UserWrote("1", u, time.Time{}); err != nil {
				t.Fatal(err)
			}
			if r := g.block(u); r.Status != status {
				t.Errorf("scope %s: status %d, want %d", scope, r.Status, status)
			}
		}
	})
	t.Run("silent_share", func(t *testing.T) {
		t.Parallel()
		failures := func(seed uint64) map[string]int {
			g := setup(t, simulator.Scenario{Seed: seed, Window: simulator.Window{SilentShare: 0.1}})
			f := g.block(users(1000)...).failures()
			return f
		}
		first := failures(1)
		if n := len(first); n < 60 || n > 140 {
			t.Errorf("%d of 1000 are silent, want about 100", n)
		}
		if diff := cmp.Diff(first, failures(1)); diff != "" {
			t.Error("the same seed chose others:", diff)
		}
		if cmp.Equal(first, failures(2)) {
			t.Error("another seed chose the same")
		}
	})
	t.Run("blocked users' messages do not arrive", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{PhoneNumbers: seeded})
		if err := g.UserWrote(phone, u, time.Time{}); err != simulator.ErrBlocked {
			t.Errorf("got %v", err)
		}
	})
}

func TestBlockingSettings(t *testing.T) {
	t.Parallel()
	us := users(4)
	t.Run("capacity per user", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Blocking: simulator.Blocking{Capacity: 2}})
		r := g.block(us[0], us[0], us[1], us[2], us[0])
		g.want(r, 400, 139100)
		if diff := cmp.Diff(map[string]int{us[2]: 139101}, r.failures()); diff != "" || len(r.Users.Added) != 4 {
			t.Errorf("%s in %s", diff, r.Raw)
		}
		g.unblock(us[0])
		g.want(g.block(us[2]), 200, 0)
	})
	t.Run("capacity per call", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Blocking: simulator.Blocking{Capacity: 2, FullList: "call"}})
		g.want(g.block(us[:3]...), 400, 139101)
		if n := len(g.Snapshot(phone)); n != 0 {
			t.Errorf("%d were added", n)
		}
		g.want(g.block(us[0], us[1], us[0]), 200, 0)
		g.want(g.unblock(us...), 200, 0)
	})
	t.Run("own number", func(t *testing.T) {
		t.Parallel()
		sc := simulator.Scenario{PhoneNumbers: []simulator.PhoneNumber{{ID: phone, Own: us[0]}}}
		g := setup(t, sc)
		if diff := cmp.Diff(map[string]int{us[0]: 131021}, g.block(us...).failures()); diff != "" {
			t.Error(diff)
		}
		sc.Blocking.BadUsers = "call"
		g = setup(t, sc)
		g.want(g.block(us...), 400, 131021)
		g.want(g.block(us[1], "no number"), 400, 131009)
	})
	t.Run("repeat_code", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Blocking: simulator.Blocking{RepeatCode: 139103}})
		g.want(g.block(us[0]), 200, 0)
		g.want(g.block(us[0]), 400, 139100)
		g.want(g.unblock(us[0]), 200, 0)
		g.want(g.unblock(us[0]), 400, 139100)
	})
	t.Run("codes", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Blocking: simulator.Blocking{MaxUsers: 3, TooManyCode: 100, EmptyCode: 100, NoUserIDs: true}})
		g.want(g.block(us...), 400, 100)
		g.want(g.block(), 400, 100)
		g.want(g.block("US.1349"), 400, 100)
		g = setup(t, simulator.Scenario{Blocking: simulator.Blocking{ParentUserIDs: true}})
		g.want(g.block("US.ENT.1349"), 200, 0)
	})
	t.Run("only_listed", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{OnlyListed: true, PhoneNumbers: []simulator.PhoneNumber{{ID: "1"}}})
		g.want(g.block(us...), 404, 100)
		g = setup(t, simulator.Scenario{MaxPhoneNumbers: 1})
		g.want(g.block(us...), 200, 0)
		g.want(g.do(request("GET", "/1/block_users", "")), 404, 100)
	})
}

func TestAnswerSettings(t *testing.T) {
	t.Parallel()
	const silent = "+15550131047"
	us := users(20)
	for name, c := range map[string]struct {
		answers simulator.Answers
		check   func(g rig) bool
	}{
		"mixed_status": {simulator.Answers{MixedStatus: 200}, func(g rig) bool {
			r := g.block(silent)
			return r.Status == 200 && r.Error.Code == 139100
		}},
		"empty_lists": {simulator.Answers{EmptyLists: true}, func(g rig) bool {
			return strings.HasSuffix(g.block(us[0]).Raw, `"failed_users":[]}}`) &&
				strings.Contains(g.block(silent).Raw, `"added_users":[],"failed_users":[{`)
		}},
		"unblock_adds": {simulator.Answers{UnblockAdds: true}, func(g rig) bool {
			return len(g.unblock(us[0]).Users.Added) == 1
		}},
		"shuffle": {simulator.Answers{Shuffle: true}, func(g rig) bool {
			r := g.block(us...)
			same := true
			for i, u := range r.Users.Added {
				same = same && u.Input == us[i]
			}
			return len(r.Users.Added) == len(us) && !same
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if g := setup(t, simulator.Scenario{Answers: c.answers}); !c.check(g) {
				t.Errorf("not as set: %+v", g.Journal())
			}
		})
	}
	t.Run("string_codes", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{Answers: simulator.Answers{StringCodes: true}})
		rec := g.raw(request("POST", "/"+phone+"/block_users", body(silent)))
		if !strings.Contains(rec, `"code":"131047"`) || !strings.Contains(rec, `"code":"139100"`) {
			t.Error(rec)
		}
	})
}

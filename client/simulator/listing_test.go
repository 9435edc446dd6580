package simulator_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

// metaCursor is the cursor of Meta's reference page; it holds offset 0 of version
// 1737679688383584.
const metaCursor = "eyJvZAmZAzZAXQiOjAsInZAlcnNpb25JZACI6IjE3Mzc2Nzk2ODgzODM1ODQifQZDZD"

func TestCursorIsMetas(t *testing.T) {
	t.Parallel()
	version := time.UnixMicro(1737679688383584)
	g := setupConfig(t, simulator.Config{
		Now:      func() time.Time { return version },
		Scenario: simulator.Scenario{PhoneNumbers: []simulator.PhoneNumber{{ID: phone, Blocked: []string{"+16505551234"}}}},
	})
	r := g.list("")
	want := `{"data":[{"messaging_product":"whatsapp","wa_id":"16505551234"}],"paging":{"cursors":{"after":"` + metaCursor + `","before":"` + metaCursor + `"}}}`
	if r.Raw != want {
		t.Errorf("got  %s\nwant %s", r.Raw, want)
	}
	g.want(g.list("?after="+metaCursor), 200, 0)
	version = version.Add(time.Second)
	g.block("+16505550000")
	r = g.list("?after=" + metaCursor)
	g.want(r, 400, 139102)
	if r.Error.Data.Details != "Blocklist was updated during retrieval - retry with offset 0" {
		t.Errorf("details %q", r.Error.Data.Details)
	}
}

// query is that of a URL, with its question mark.
func query(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Host != "example.com" || u.Path != "/v25.0/"+phone+"/block_users" {
		t.Fatalf("link %s: %v", link, err)
	}
	return "?" + u.RawQuery
}

func TestWalk(t *testing.T) {
	t.Parallel()
	all := users(57)
	for _, limit := range []int{0, 1, 10, 57, 99, 5000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			g := setup(t, simulator.Scenario{PhoneNumbers: []simulator.PhoneNumber{{ID: phone, Blocked: all}}})
			start := ""
			if limit > 0 {
				start = fmt.Sprintf("?limit=%d", limit)
			}
			r := g.list(start)
			got := r.waIDs()
			if limit == 0 && len(got) != 25 {
				t.Errorf("default page has %d entries, want 25", len(got))
			}
			for r.Paging.Next != "" {
				r = g.list(query(t, r.Paging.Next))
				got = append(got, r.waIDs()...)
			}
			if diff := cmp.Diff(digits(all), got); diff != "" {
				t.Error("forward:", diff)
			}
			got = r.waIDs()
			for r.Paging.Previous != "" {
				r = g.list(query(t, r.Paging.Previous))
				got = append(r.waIDs(), got...)
			}
			if diff := cmp.Diff(digits(all), got); diff != "" {
				t.Error("backward:", diff)
			}
		})
	}
}

func TestListingSettings(t *testing.T) {
	t.Parallel()
	list := func(t *testing.T, l simulator.Listing) rig {
		return setup(t, simulator.Scenario{Listing: l, PhoneNumbers: []simulator.PhoneNumber{{ID: phone, Blocked: users(3)}}})
	}
	t.Run("omit_next", func(t *testing.T) {
		t.Parallel()
		g := list(t, simulator.Listing{OmitNext: true})
		r := g.list("?limit=2")
		if r.Paging.Next != "" || r.Paging.Cursors.After == "" {
			t.Errorf("paging %+v", r.Paging)
		}
		r = g.list("?limit=2&after=" + r.Paging.Cursors.After)
		if len(r.Data) != 1 {
			t.Errorf("second page: %s", r.Raw)
		}
		if r = g.list("?after=" + r.Paging.Cursors.After); r.Raw != `{"data":[]}` {
			t.Errorf("past the end: %s", r.Raw)
		}
	})
	t.Run("max_limit", func(t *testing.T) {
		t.Parallel()
		g := list(t, simulator.Listing{DefaultLimit: 1, MaxLimit: 2})
		if n := len(g.list("?limit=3").Data); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
		g = list(t, simulator.Listing{DefaultLimit: 1, MaxLimit: 2, RefuseOverMax: true})
		g.want(g.list("?limit=3"), 400, 100)
	})
	t.Run("newest_first", func(t *testing.T) {
		t.Parallel()
		got := list(t, simulator.Listing{NewestFirst: true}).list("").waIDs()
		want := digits(users(3))
		slices.Reverse(want)
		if !cmp.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
	t.Run("older_shape", func(t *testing.T) {
		t.Parallel()
		r := list(t, simulator.Listing{OlderShape: true}).list("?limit=1")
		if !strings.HasPrefix(r.Raw, `{"data":[{"block_users":[{"input":"16500000000","wa_id":"16500000000"}]}],"paging":`) {
			t.Error(r.Raw)
		}
	})
	t.Run("changed_status", func(t *testing.T) {
		t.Parallel()
		g := list(t, simulator.Listing{ChangedStatus: 409})
		r := g.list("?limit=1")
		g.unblock(users(1)...)
		g.want(g.list("?after="+r.Paging.Cursors.After), 409, 139102)
	})
	t.Run("no_op_bumps", func(t *testing.T) {
		t.Parallel()
		for bumps, code := range map[bool]int{false: 0, true: 139102} {
			g := list(t, simulator.Listing{NoOpBumps: bumps})
			r := g.list("?limit=1")
			g.block(users(1)...)
			if got := g.list("?after=" + r.Paging.Cursors.After).Error.Code; got != code {
				t.Errorf("no_op_bumps %v: code %d, want %d", bumps, got, code)
			}
		}
	})
}

func TestListingLag(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := setupConfig(t, simulator.Config{
		Now:      func() time.Time { return now },
		Scenario: simulator.Scenario{Listing: simulator.Listing{Lag: simulator.Duration(time.Second)}},
	})
	expect := func(want ...string) {
		t.Helper()
		if got := g.list("").waIDs(); !cmp.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
	}
	us := users(2)
	g.block(us...)
	expect()
	now = now.Add(900 * time.Millisecond)
	g.unblock(us[0])
	expect()
	now = now.Add(100 * time.Millisecond)
	expect(digits(us)...)
	now = now.Add(900 * time.Millisecond)
	expect(digits(us[1:])...)
	if got := g.Snapshot(phone); !cmp.Equal(got, digits(us[1:])) {
		t.Errorf("snapshot %v", got)
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Users: []simulator.User{
		{User: "+5592981723241", WaID: "559281723241", UserID: "BR.1", ParentUserID: "BR.ENT.9"},
		{UserID: "BR.2"},
		{User: "+5592900000000", Invalid: true},
	}}
	g := setup(t, sc)
	r := g.block("+5592981723241", "BR.1", "BR.2", "BR.3", "+5592900000000", "no number")
	g.want(r, 400, 139100)
	want := []replyUser{
		{Input: "+5592981723241", WaID: "559281723241"},
		{Input: "BR.1", UserID: "BR.1"},
		{Input: "BR.2", UserID: "BR.2"},
		{Input: "BR.3", UserID: "BR.3"},
	}
	if diff := cmp.Diff(want, r.Users.Added); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"+5592900000000": 131047, "no number": 131047}, r.failures()); diff != "" {
		t.Error(diff)
	}
	for _, u := range r.Users.Failed {
		if u.WaID != "" {
			t.Errorf("an invalid user has a wa_id: %+v", u)
		}
	}
	raw := g.list("").Raw
	if !strings.HasPrefix(raw, `{"data":[{"messaging_product":"whatsapp","wa_id":"559281723241","user_id":"BR.1","parent_user_id":"BR.ENT.9"},`+
		`{"messaging_product":"whatsapp","user_id":"BR.2"},{"messaging_product":"whatsapp","user_id":"BR.3"}]`) {
		t.Error(raw)
	}
	sc.Listing.OmitUserIDs = true
	if err := g.SetScenario(sc); err != nil {
		t.Fatal(err)
	}
	if got := g.list("").waIDs(); !cmp.Equal(got, []string{"559281723241", "BR.2", "BR.3"}) {
		t.Errorf("%v", got)
	}
}

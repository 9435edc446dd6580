package simulator_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func faulty(t *testing.T, faults ...simulator.Fault) rig {
	return setup(t, simulator.Scenario{Faults: faults})
}

func TestFaultCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault simulator.Fault
		want  string // one letter a call: f failed, . passed
	}{
		"always":     {simulator.Fault{}, "ffffffff"},
		"first two":  {simulator.Fault{Times: 2}, "ff......"},
		"every 3rd":  {simulator.Fault{Every: 3}, "..f..f.."},
		"skip":       {simulator.Fault{Skip: 2, Times: 3}, "..fff..."},
		"together":   {simulator.Fault{Skip: 1, Every: 2, Times: 2}, "..f.f..."},
		"lists":      {simulator.Fault{Operations: []simulator.Operation{simulator.List}}, "........"},
		"number":     {simulator.Fault{PhoneNumberIDs: []string{"1"}}, "........"},
		"this":       {simulator.Fault{PhoneNumberIDs: []string{phone}, Operations: []simulator.Operation{simulator.Block}}, "ffffffff"},
		"with user":  {simulator.Fault{Users: []string{"+16500000000"}}, "ffffffff"},
		"other user": {simulator.Fault{Users: []string{"+16500000009"}}, "........"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.fault.Effect, c.fault.Code = simulator.EffectFail, 131000
			g := faulty(t, c.fault)
			var got strings.Builder
			for range len(c.want) {
				if g.block(users(2)...).Error.Code == 131000 {
					got.WriteByte('f')
				} else {
					got.WriteByte('.')
				}
			}
			if got.String() != c.want {
				t.Errorf("got %s, want %s", got.String(), c.want)
			}
		})
	}
}

func TestFaultProbability(t *testing.T) {
	t.Parallel()
	run := func() map[string]int {
		g := faulty(t, simulator.Fault{Effect: simulator.EffectFailUser, Probability: 0.05})
		return g.block(users(1000)...).failures()
	}
	first := run()
	if n := len(first); n < 25 || n > 80 {
		t.Errorf("%d of 1000 failed, want about 50", n)
	}
	if diff := cmp.Diff(first, run()); diff != "" {
		t.Error("not repeatable:", diff)
	}
}

func TestFaultOnUsers(t *testing.T) {
	t.Parallel()
	us := users(3)
	g := faulty(t,
		simulator.Fault{Effect: simulator.EffectFailUser, Users: us[:1], Times: 2},
		simulator.Fault{Effect: simulator.EffectOmitUser, Users: us[1:2], Applied: true, Name: "lost"},
		simulator.Fault{Effect: simulator.EffectOmitUser, Users: us[2:], Times: 1},
	)
	r := g.block(us...)
	g.want(r, 400, 139100)
	if diff := cmp.Diff(map[string]int{us[0]: 139103}, r.failures()); diff != "" || len(r.Users.Added) != 0 {
		t.Errorf("%s in %s", diff, r.Raw)
	}
	if got := g.Snapshot(phone); !cmp.Equal(got, digits(us[1:2])) {
		t.Errorf("on the list: %v", got)
	}
	want := []simulator.CallUser{
		{User: us[0], Outcome: simulator.OutcomeFailed, Code: 139103},
		{User: us[1], Outcome: simulator.OutcomeOmitted},
		{User: us[2], Outcome: simulator.OutcomeOmitted},
	}
	if diff := cmp.Diff(want, g.Journal()[0].Users); diff != "" {
		t.Error(diff)
	}
	g.block(us...)
	r = g.block(us...)
	g.want(r, 200, 0)
	if len(r.Users.Added) != 2 {
		t.Errorf("third call: %s", r.Raw)
	}
}

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	one := users(1)
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		for _, applied := range []bool{false, true} {
			g := faulty(t, simulator.Fault{Effect: simulator.EffectFail, Applied: applied, Code: 190, Subcode: 460, Message: "m", Details: "d", Transient: true})
			r := g.block(one...)
			g.want(r, 401, 190)
			if r.Error.Subcode != 460 || r.Error.Message != "m" || r.Error.Data.Details != "d" || !strings.Contains(r.Raw, `"is_transient":true`) {
				t.Error(r.Raw)
			}
			if n := len(g.Snapshot(phone)); (n == 1) != applied {
				t.Errorf("applied %v: %d on the list", applied, n)
			}
		}
	})
	t.Run("html", func(t *testing.T) {
		t.Parallel()
		g := faulty(t, simulator.Fault{Effect: simulator.EffectHTML})
		r := g.block(one...)
		if r.Status != 502 || !strings.HasPrefix(r.Raw, "<!DOCTYPE html>") || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%d %v %s", r.Status, r.Header, r.Raw)
		}
	})
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		g := faulty(t, simulator.Fault{Effect: simulator.EffectEmpty, Applied: true})
		if r := g.block(one...); r.Status != 200 || r.Raw != "" || len(g.Snapshot(phone)) != 1 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		t.Parallel()
		g := faulty(t, simulator.Fault{Effect: simulator.EffectTruncated})
		r := g.block(one...)
		if r.Status != 200 || !strings.HasPrefix(r.Raw, `{"messaging_product"`) || strings.HasSuffix(r.Raw, "}") || len(g.Snapshot(phone)) != 1 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

func TestFaultsOfListings(t *testing.T) {
	t.Parallel()
	us := users(3)
	start := func(t *testing.T, f simulator.Fault) rig {
		g := faulty(t, f)
		if err := g.Seed(phone, us...); err != nil {
			t.Fatal(err)
		}
		return g
	}
	t.Run("empty_page", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Fault{Effect: simulator.EffectEmptyPage, Every: 2})
		r := g.list("?limit=1")
		var got []string
		for pages := 1; ; pages++ {
			got = append(got, r.waIDs()...)
			if r.Paging.Next == "" {
				if pages != 5 {
					t.Errorf("%d pages, want 3 and 2 empty ones", pages)
				}
				break
			}
			r = g.list(query(t, r.Paging.Next))
		}
		if diff := cmp.Diff(digits(us), got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("empty first page", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Fault{Effect: simulator.EffectEmptyPage, Times: 1})
		r := g.list("")
		if len(r.Data) != 0 {
			t.Fatal(r.Raw)
		}
		if got := g.list("?after=" + r.Paging.Cursors.After).waIDs(); !cmp.Equal(got, digits(us)) {
			t.Errorf("after it: %v", got)
		}
	})
	t.Run("list_changed", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Fault{Effect: simulator.EffectListChanged, WithCursor: true, Times: 1})
		r := g.list("?limit=1")
		g.want(r, 200, 0)
		g.want(g.list(query(t, r.Paging.Next)), 400, 139102)
		r = g.list("?limit=1")
		g.want(g.list(query(t, r.Paging.Next)), 200, 0)
	})
	t.Run("refused cursor", func(t *testing.T) {
		t.Parallel()
		g := start(t, simulator.Fault{Effect: simulator.EffectFail, Code: 100, WithCursor: true})
		r := g.list("?limit=1")
		g.want(r, 200, 0)
		g.want(g.list(query(t, r.Paging.Next)), 400, 100)
		g.want(g.block(us...), 200, 0)
	})
}

func TestCutConnections(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		for _, effect := range []simulator.Effect{simulator.EffectReset, simulator.EffectCut} {
			t.Run(fmt.Sprint(effect, applied), func(t *testing.T) {
				t.Parallel()
				g := faulty(t, simulator.Fault{Effect: effect, Applied: applied})
				server := httptest.NewServer(g)
				t.Cleanup(server.Close)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/"+phone+"/block_users", strings.NewReader(body(users(2)...)))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer x")
				res, err := server.Client().Do(req)
				if err == nil {
					_, err = io.ReadAll(res.Body)
					_ = res.Body.Close()
				}
				if err == nil {
					t.Fatal("the whole answer came through")
				}
				want := applied || effect == simulator.EffectCut
				if got := len(g.Snapshot(phone)) == 2; got != want {
					t.Errorf("took effect: %v, want %v", got, want)
				}
				if c := g.Journal()[0]; c.Ended == 0 || c.Fault != string(effect) {
					t.Errorf("journal: %+v", c)
				}
			})
		}
	}
}

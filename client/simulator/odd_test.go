package simulator_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

// Every code can be given to one user, or to every call that carries that user; others are served.
func TestOneUserGetsAnyCode(t *testing.T) {
	t.Parallel()
	us := users(3)
	for name, c := range map[string]struct{ code, want int }{
		"usual": {0, 139103}, "zero": {simulator.CodeZero, 0}, "one": {1, 1}, "listed": {131000, 131000}, "unknown": {987654, 987654},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFailUser, Users: us[1:2], Code: c.code}}})
			r := g.block(us...)
			g.want(r, 400, 139100)
			if diff := cmp.Diff(map[string]int{us[1]: c.want}, r.failures()); diff != "" || len(r.Users.Added) != 2 {
				t.Errorf("%s: %s", diff, r.Raw)
			}
			whole := c.want
			if c.code == 0 {
				whole = 1
			}
			g = setup(t, simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Users: us[1:2], Code: c.code}}})
			if r := g.block(us...); r.Error.Code != whole || r.Status < 400 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
			g.want(g.block(us[0], us[2]), 200, 0)
		})
	}
}

// A full list takes as many users more as intervals have passed, per user and per call.
func TestFullListWithATrickle(t *testing.T) {
	t.Parallel()
	us := users(6)
	for _, form := range []string{"user", "call"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			g := setupConfig(t, simulator.Config{Now: func() time.Time { return now }, Scenario: simulator.Scenario{
				Blocking: simulator.Blocking{Capacity: 2, FullList: form, FreeEvery: simulator.Duration(10 * time.Second)},
			}})
			g.want(g.block(us[:2]...), 200, 0)
			for i := 2; i < len(us); i++ {
				if r := g.block(us[i]); r.Status != 400 {
					t.Errorf("user %d had room at once: %s", i, r.Raw)
				}
				now = now.Add(10 * time.Second)
				g.want(g.block(us[i]), 200, 0)
			}
		})
	}
}

// A secret that was changed refuses the calls of those who have the old one, from the next call on.
func TestAppSecretChangesAtRunTime(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{AppSecret: "first"})
	call := func(secret string) reply {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("EAAtest"))
		return g.do(request(http.MethodPost, "/v25.0/"+phone+"/block_users?appsecret_proof="+hex.EncodeToString(mac.Sum(nil)), body(users(1)...)))
	}
	g.want(call("first"), 200, 0)
	if r := g.control("PUT", "/scenario", `{"app_secret":"second"}`); r.Status != 200 {
		t.Fatal(r.Raw)
	}
	g.want(call("first"), 400, 100)
	g.want(call("second"), 200, 0)
}

// Faults of whole calls strike only those that carry the user.
func TestCallsWithOneUserMeetTheFault(t *testing.T) {
	t.Parallel()
	us := users(2)
	for _, f := range []simulator.Fault{
		{Effect: simulator.EffectHTML, Status: 503},
		{Effect: simulator.EffectReset},
		{Effect: simulator.EffectHang},
		{Effect: simulator.EffectDelay, Delay: simulator.Duration(time.Hour)},
	} {
		t.Run(string(f.Effect), func(t *testing.T) {
			t.Parallel()
			f.Users = us[:1]
			g := setup(t, simulator.Scenario{Faults: []simulator.Fault{f}})
			g.want(g.block(us[1]), 200, 0)
			server := httptest.NewServer(g)
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			req := request(http.MethodPost, server.URL+"/"+phone+"/block_users", body(us...)).WithContext(ctx)
			req.RequestURI = ""
			res, err := http.DefaultTransport.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
				if res.StatusCode != 503 {
					t.Errorf("status %d", res.StatusCode)
				}
			}
		})
	}
}

// The controls take nothing from pages of other sites, and no name that such a page can point here.
func TestControlsRefuseOtherSites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host, header string
		status       int
	}{
		"curl":                 {"127.0.0.1:8090", "", 204},
		"IPv6":                 {"[::1]:8090", "", 204},
		"localhost":            {"localhost:8090", "", 204},
		"a container's name":   {"simulator:8081", "", 204},
		"another machine":      {"10.1.2.3:8090", "", 204},
		"another site":         {"127.0.0.1:8090", "Sec-Fetch-Site: cross-site", 403},
		"another port":         {"127.0.0.1:8090", "Origin: http://127.0.0.1:9999", 403},
		"a name from anywhere": {"evil.example:8090", "", 421},
		"a name with an IP":    {"127.0.0.1.evil.example", "", 421},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, simulator.Scenario{})
			req := httptest.NewRequest(http.MethodPost, "/_simulator/reset", nil)
			req.Host = c.host
			if key, value, ok := strings.Cut(c.header, ": "); ok {
				req.Header.Set(key, value)
			}
			rec := httptest.NewRecorder()
			g.ServeHTTP(rec, req)
			if rec.Code != c.status {
				t.Errorf("status %d, want %d: %s", rec.Code, c.status, rec.Body)
			}
		})
	}
}

package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
)

func TestStrictness(t *testing.T) {
	t.Parallel()
	const path = "/v25.0/" + phone + "/block_users"
	one := body("+16505551234")
	for name, c := range map[string]struct {
		method, path, body string
		status, code       int
	}{
		"good":                   {"POST", path, one, 200, 0},
		"no version":             {"POST", "/" + phone + "/block_users", one, 200, 0},
		"empty list":             {"POST", path, body(), 200, 0},
		"BSUID":                  {"POST", path, body("US.13491208655302741918"), 200, 0},
		"both names":             {"POST", path, `{"messaging_product":"whatsapp","block_users":[{"user":"+16505551234","user_id":"?"}]}`, 200, 0},
		"unknown path":           {"POST", "/v25.0/" + phone + "/messages", one, 404, 100},
		"root":                   {"GET", "/", "", 404, 100},
		"bad version":            {"POST", "/25/" + phone + "/block_users", one, 404, 100},
		"bad ID":                 {"POST", "/v25.0/me/block_users", one, 404, 100},
		"method":                 {"PUT", path, one, 400, 100},
		"no body":                {"POST", path, "", 400, 100},
		"no JSON":                {"POST", path, "user=1", 400, 100},
		"two values":             {"POST", path, one + one, 400, 100},
		"unknown field":          {"POST", path, `{"messaging_product":"whatsapp","block_users":[],"x":1}`, 400, 100},
		"unknown field of user":  {"POST", path, `{"messaging_product":"whatsapp","block_users":[{"user":"+16505551234","x":1}]}`, 400, 100},
		"number as a number":     {"POST", path, `{"messaging_product":"whatsapp","block_users":[{"user":16505551234}]}`, 400, 100},
		"no messaging_product":   {"POST", path, `{"block_users":[{"user":"+16505551234"}]}`, 400, 100},
		"other product":          {"POST", path, `{"messaging_product":"sms","block_users":[{"user":"+16505551234"}]}`, 400, 100},
		"no block_users":         {"POST", path, `{"messaging_product":"whatsapp"}`, 400, 100},
		"no user":                {"POST", path, `{"messaging_product":"whatsapp","block_users":[{}]}`, 400, 100},
		"parent BSUID":           {"POST", path, body("US.ENT.11815799212886844830"), 400, 100},
		"bad BSUID":              {"POST", path, `{"messaging_product":"whatsapp","block_users":[{"user_id":"1349"}]}`, 400, 100},
		"1001 users":             {"POST", path, body(users(1001)...), 400, 130429},
		"huge body":              {"POST", path, body(strings.Repeat("1", 1<<20)), 400, 100},
		"unknown parameter":      {"POST", path + "?limit=1", one, 400, 100},
		"list":                   {"GET", path + "?limit=5", "", 200, 0},
		"list parameter":         {"GET", path + "?fields=wa_id", "", 400, 100},
		"twice":                  {"GET", path + "?limit=1&limit=2", "", 400, 100},
		"limit 0":                {"GET", path + "?limit=0", "", 400, 100},
		"limit x":                {"GET", path + "?limit=x", "", 400, 100},
		"cursor":                 {"GET", path + "?after=abc", "", 400, 100},
		"both cursors":           {"GET", path + "?after=" + metaCursor + "&before=" + metaCursor, "", 400, 100},
		"token in the query too": {"GET", path + "?access_token=x", "", 200, 0},
		"unreadable query":       {"GET", path + "?a=%zz", "", 400, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, simulator.Scenario{})
			g.want(g.do(request(c.method, c.path, c.body)), c.status, c.code)
			calls := g.Journal()
			if len(calls) != 1 || calls[0].Status != c.status || calls[0].Code != c.code {
				t.Errorf("journal: %+v", calls)
			}
		})
	}
	t.Run("content type", func(t *testing.T) {
		t.Parallel()
		g := setup(t, simulator.Scenario{})
		req := request("POST", path, one)
		req.Header.Set("Content-Type", "text/plain")
		g.want(g.do(req), 400, 100)
	})
}

// A user ID is not a number: in the field for numbers it names no user, and a client that mixes them up should notice.
func TestUserIDInPlaceOfANumber(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"US.13491208655302741918", "US.ENT.11815799212886844830"} {
		g := setup(t, simulator.Scenario{Users: []simulator.User{{UserID: "US.13491208655302741918"}}})
		entry := `{"messaging_product":"whatsapp","block_users":[{"user":"` + id + `"}]}`
		r := g.do(request("POST", "/v25.0/"+phone+"/block_users", entry))
		if r.Status != 400 || r.Error.Code != 139100 || len(r.Users.Failed) != 1 || r.Users.Failed[0].code() != 131047 || r.Users.Failed[0].UserID != "" {
			t.Errorf("%s as a user: %s", id, r.Raw)
		}
		if on := g.Snapshot(phone); len(on) != 0 {
			t.Errorf("%s as a user is on the list: %v", id, on)
		}
		g = setup(t, simulator.Scenario{Blocking: simulator.Blocking{BadUsers: "call"}})
		if r = g.do(request("POST", "/v25.0/"+phone+"/block_users", entry)); r.Error.Code != 131009 {
			t.Errorf("%s as a user, for the call: %s", id, r.Raw)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := setupConfig(t, simulator.Config{
		Now: func() time.Time { return now },
		Scenario: simulator.Scenario{Tokens: []simulator.Token{
			{Token: "for ever"}, {Token: "an hour", ExpiresIn: simulator.Duration(time.Hour)},
		}},
	})
	with := func(header, query string) reply {
		req := request(http.MethodGet, "/v25.0/"+phone+"/block_users"+query, "")
		req.Header.Set("Authorization", header)
		return g.do(req)
	}
	g.want(with("Bearer for ever", ""), 200, 0)
	g.want(with("bearer an hour", ""), 200, 0)
	g.want(with("", "?access_token=an+hour"), 200, 0)
	g.want(with("", ""), 401, 104)
	g.want(with("Basic eDp5", ""), 401, 104)
	g.want(with("Bearer wrong", ""), 401, 190)
	now = now.Add(time.Hour)
	g.want(with("Bearer for ever", ""), 200, 0)
	r := with("Bearer an hour", "")
	g.want(r, 401, 190)
	if r.Error.Subcode != 463 {
		t.Errorf("subcode %d, want 463", r.Error.Subcode)
	}
}

func TestAppSecretProof(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{AppSecret: "made up"})
	mac := hmac.New(sha256.New, []byte("made up"))
	mac.Write([]byte("EAAtest"))
	g.want(g.list("?appsecret_proof="+hex.EncodeToString(mac.Sum(nil))), 200, 0)
	g.want(g.list(""), 400, 100)
	g.want(g.list("?appsecret_proof=00"), 400, 100)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{Limits: []simulator.Limit{{Calls: 4}}, Answers: simulator.Answers{AppUsage: true}})
	r := g.do(request("GET", "/v24.0/"+phone+"/block_users", ""))
	want := map[string]string{
		"Facebook-Api-Version":      "v24.0",
		"Content-Type":              "application/json; charset=UTF-8",
		"X-Business-Use-Case-Usage": `{"102290129340398":[{"type":"whatsapp_business_management","call_count":25,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":0}]}`,
		"X-App-Usage":               `{"call_count":25,"total_cputime":1,"total_time":1}`,
		"Retry-After":               "",
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s: %s, want %s", name, got, value)
		}
	}
	if r.Header.Get("X-Fb-Trace-Id") == "" {
		t.Error("no x-fb-trace-id")
	}
	fixed := setup(t, simulator.Scenario{APIVersion: "v23.0", Answers: simulator.Answers{OmitUsage: true}})
	r = fixed.list("")
	if got := r.Header.Get("Facebook-Api-Version"); got != "v23.0" || r.Header.Get("X-Business-Use-Case-Usage") != "" {
		t.Errorf("version %s, headers %v", got, r.Header)
	}
}

package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

// listener receives webhooks that are signed with "secret".
func listener(t *testing.T) (url string, bodies *[]string) {
	t.Helper()
	bodies = new([]string)
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("secret"))
		_, _ = mac.Write(body)
		if r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		*bodies = append(*bodies, string(body))
	}))
	t.Cleanup(at.Close)
	return at.URL, bodies
}

// proven calls with the proof of an app secret.
func (g rig) proven(method, secret string, users ...string) reply {
	g.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte("EAAtest"))
	return g.do(request(method, "/v25.0/"+phone+"/block_users?appsecret_proof="+hex.EncodeToString(mac.Sum(nil)), body(users...)))
}

// TestUserIDs: with the setting every user has both names, is one user under them, and may be listed by the ID alone.
func TestUserIDs(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{UserIDs: true, Users: []simulator.User{
		{User: "+5592981723241", WaID: "559281723241", UserID: "BR.1"},
		{User: "+16505550002", UserID: "US.4", Username: "ana"},
	}}
	g := setup(t, sc)
	g.want(g.block("+16505550001", "US.716505550001", "+5592981723241", "BR.1", "+16505550002"), 200, 0)
	r := g.list("")
	want := `{"data":[{"messaging_product":"whatsapp","wa_id":"16505550001","user_id":"US.716505550001"},` +
		`{"messaging_product":"whatsapp","wa_id":"559281723241","user_id":"BR.1"},{"messaging_product":"whatsapp","user_id":"US.4"}]`
	if !strings.HasPrefix(r.Raw, want) {
		t.Error(r.Raw)
	}
	sc.Listing.UserIDsAlone = true
	if err := g.SetScenario(sc); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"US.716505550001", "BR.1", "US.4"}, g.list("").waIDs()); d != "" {
		t.Error(d)
	}
	g.want(g.unblock("US.716505550001", "US.4"), 200, 0)
	if d := cmp.Diff([]string{"559281723241"}, g.Snapshot(phone)); d != "" {
		t.Error(d)
	}
	// A made-up ID of what is not a number is that of another user.
	g.want(g.block("US.70"), 200, 0)
	if d := cmp.Diff([]string{"559281723241", "US.70"}, g.Snapshot(phone)); d != "" {
		t.Error(d)
	}
}

// TestUserChanged: the old names are gone, the new ones are the user's, with the same window.
func TestUserChanged(t *testing.T) {
	t.Parallel()
	url, bodies := listener(t)
	const (
		old, next = "+16505550001", "+16505550002"
	)
	for name, follows := range map[string]bool{"stays": false, "follows": true} {
		g := setup(t, simulator.Scenario{
			AppSecret: "secret", UserIDs: true, Window: simulator.Window{SilentShare: 1}, Blocking: simulator.Blocking{FollowsUser: follows},
			Users: []simulator.User{{User: "+16505550009", UserID: "US.9", Username: "ana"}},
		})
		changed := func(body string) int {
			return g.control("POST", "/user-changed", `{"phone_number_id":"`+phone+`","webhook":"`+url+`",`+body+`}`).Status
		}
		if err := g.UserWrote(phone, old, time.Time{}); err != nil {
			t.Fatal(err)
		}
		g.want(g.proven("POST", "secret", old), 200, 0)
		*bodies = nil
		if s := changed(`"user":"` + old + `","new_user":"` + next + `"`); s != 204 || len(*bodies) != 1 {
			t.Fatalf("%s: %d, %d webhooks", name, s, len(*bodies))
		}
		for _, part := range []string{
			`"from":"16505550001"`, `"type":"user_changed_number"`, `"wa_id":"16505550002"`,
			`"user_id":"US.716505550002"`, `"previous_user_id":"US.716505550001"`, `"phone_number_id":"` + phone + `"`,
		} {
			if !strings.Contains((*bodies)[0], part) {
				t.Errorf("%s is not in %s", part, (*bodies)[0])
			}
		}
		want := map[bool][]string{false: {"16505550001"}, true: {"16505550002"}}[follows]
		if d := cmp.Diff(want, g.Snapshot(phone)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		g.want(g.proven("POST", "secret", next, "US.716505550002"), 200, 0) // in the window of their message
		g.want(g.proven("DELETE", "secret", old), 200, 0)
		if r := g.proven("POST", "secret", old, "US.716505550001"); cmp.Diff(map[string]int{old: 131047, "US.716505550001": 131047}, r.failures()) != "" {
			t.Errorf("the old names: %s", r.Raw)
		}
		if d := cmp.Diff([]string{"16505550002"}, g.Snapshot(phone)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if r := g.control("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"`+old+`"}`); r.Status != 400 {
			t.Errorf("a message under the old number: %d", r.Status)
		}
		// The user ID alone, and the one that goes with a username.
		if s := changed(`"user":"` + next + `","new_user_id":"US.8"`); s != 204 || !strings.Contains((*bodies)[1], `"type":"user_changed_user_id"`) ||
			!strings.Contains((*bodies)[1], `"previous_user_id":"US.716505550002"`) || strings.Contains((*bodies)[1], "wa_id") {
			t.Errorf("%d %s", s, *bodies)
		}
		g.want(g.proven("DELETE", "secret", "US.8"), 200, 0)
		if s := changed(`"user":"US.9","new_user":"+16505550010","new_user_id":"US.10"`); s != 204 {
			t.Error(s)
		}
		if r := g.control("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"+16505550010","webhook":"`+url+`"}`); r.Status != 204 {
			t.Error(r)
		}
		if last := (*bodies)[len(*bodies)-1]; strings.Contains(last, "16505550010") || !strings.Contains(last, `"from_user_id":"US.10"`) || !strings.Contains(last, `"username":"ana"`) {
			t.Error(last)
		}
		// The number comes back to its user, and all is forgotten by a reset.
		if s := changed(`"user":"` + next + `","new_user":"` + old + `"`); s != 204 {
			t.Error(s)
		}
		g.want(g.proven("POST", "secret", old), 200, 0)
		for _, body := range []string{
			`"user":"` + next + `","new_user":"` + old + `"`, `"user":"` + old + `"`, `"user":"` + old + `","new_user":"` + old + `"`,
			`"user":"` + old + `","new_user":"x"`, `"user":"` + old + `","new_user_id":"x"`, `"user":"` + old + `","new_user_id":"US.ENT.1"`,
			`"user":"` + old + `","new_user":"US.1"`, `"user":"x","new_user":"` + next + `"`, `"user":"` + old + `","new":"x"`,
		} {
			if s := changed(body); s != 400 {
				t.Errorf("%s: %d", body, s)
			}
		}
		g.Reset()
		if err := g.UserWrote(phone, next, time.Time{}); err != nil {
			t.Error(err)
		}
	}
}

package simulator_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

func FuzzBlockBody(f *testing.F) {
	for _, s := range []string{
		body("+16505551234"), body("US.1349"), body("+15550131047", "x", ""), `{}`, `[`, "\xff", `{"block_users":null}`,
		`{"messaging_product":"whatsapp","block_users":[{"user":"\u0000\"<é"}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := setup(t, simulator.Scenario{})
		req := request("POST", "/v25.0/1/block_users", text)
		req.Header.Set("Content-Type", "application/json")
		r := g.do(req)
		if !json.Valid([]byte(r.Raw)) {
			t.Fatalf("no JSON: %s", r.Raw)
		}
		if !slices.Contains([]int{0, 100, 130429, 131009, 139100}, r.Error.Code) || (r.Status == 200) != (r.Error.Code == 0) {
			t.Fatalf("status %d, code %d", r.Status, r.Error.Code)
		}
		added := map[string]bool{}
		for _, u := range r.Users.Added {
			added[u.WaID+u.UserID] = true
		}
		if on := g.Snapshot("1"); len(on) != len(added) {
			t.Fatalf("%d were added, %d are on the list", len(added), len(on))
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, s := range []string{metaCursor, "", "ZD", "ZAZA", "eyJvZmZzZXQiOjB9", "Z", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := setup(t, simulator.Scenario{})
		if err := g.Seed(phone, users(3)...); err != nil {
			t.Fatal(err)
		}
		r := g.list("?after=" + url.QueryEscape(text))
		if !slices.Contains([]int{0, 100, 139102}, r.Error.Code) {
			t.Fatalf("status %d, code %d", r.Status, r.Error.Code)
		}
	})
}

func FuzzScenario(f *testing.F) {
	for _, s := range []string{"seed: 1", "{}", `{"faults":[{"effect":"reset"}]}`, "limits: [{rate: 30}]", "a: &a [*a]", "\t", "window: {length: 1h}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sc, err := simulator.ParseScenario([]byte(text))
		if err != nil {
			return
		}
		if _, err := simulator.New(simulator.Config{Scenario: sc}); err != nil {
			t.Fatalf("ParseScenario accepted what New refuses: %v", err)
		}
	})
}

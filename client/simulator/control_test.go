package simulator_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func TestControls(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{
		Window:       simulator.Window{SilentShare: 1},
		PhoneNumbers: []simulator.PhoneNumber{{ID: "1", Blocked: users(1)}},
	})
	expect := func(method, path, body string, status int) reply {
		t.Helper()
		r := g.control(method, path, body)
		if r.Status != status {
			t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.Status, status, r.Raw)
		}
		return r
	}
	expect("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"+16505551234"}`, 204)
	g.want(g.block("+16505551234"), 200, 0)
	expect("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"+16505551234"}`, 409)
	expect("POST", "/user-wrote", `{"phone_number_id":"`+phone+`","user":"+16505550000","ago":"25h"}`, 204)
	g.want(g.block("+16505550000"), 400, 139100)
	expect("POST", "/seed", `{"phone_number_id":"`+phone+`","blocked":["+16505550000"]}`, 204)

	r := expect("GET", "/snapshot", "", 200)
	var lists []struct {
		ID    string   `json:"phone_number_id"`
		Count int      `json:"count"`
		WaIDs []string `json:"wa_ids"`
	}
	if err := json.Unmarshal([]byte(r.Raw), &lists); err != nil {
		t.Fatal(err)
	}
	if len(lists) != 2 || lists[0].ID != "1" || lists[1].Count != 2 || !cmp.Equal(lists[1].WaIDs, []string{"16505551234", "16505550000"}) {
		t.Errorf("%s", r.Raw)
	}
	if r := expect("GET", "/snapshot?phone_number_id=5", "", 200); !strings.Contains(r.Raw, `"wa_ids": []`) {
		t.Error(r.Raw)
	}
	expect("POST", "/reset", "", 204)
	if got := g.PhoneNumberIDs(); !cmp.Equal(got, []string{"1"}) || len(g.Snapshot("1")) != 1 || len(g.Journal()) != 0 {
		t.Errorf("after reset: %v", got)
	}
	help := expect("GET", "/", "", 200).Raw
	for _, n := range simulator.TestNumbers() {
		if !strings.Contains(help, n.Number) {
			t.Errorf("the help page lacks %s", n.Number)
		}
	}
	for _, bad := range [][3]string{
		{"POST", "/seed", `{"phone_number_id":"x","blocked":[]}`},
		{"POST", "/seed", `{"phone_number_id":"1","blocked":["x"]}`},
		{"POST", "/seed", `{"number":"1"}`},
		{"POST", "/seed", ``},
		{"POST", "/user-wrote", `{"phone_number_id":"1","user":"x"}`},
		{"POST", "/user-wrote", `{"phone_number_id":"1","user":"+16505551234","ago":"soon"}`},
		{"PUT", "/scenario", `{"limit":1}`},
		{"PUT", "/scenario", `{"limits":[{}]}`},
		{"GET", "/journal?since=x", ``},
	} {
		if r := expect(bad[0], bad[1], bad[2], 400); !strings.Contains(r.Raw, `"error"`) && !strings.Contains(r.Raw, "simulator") {
			t.Errorf("%v: %s", bad, r.Raw)
		}
	}
	if rec := g.raw(httptest.NewRequest("GET", "/_simulator/nothing", nil)); !strings.Contains(rec, "404") {
		t.Errorf("unknown control: %s", rec)
	}
}

func TestScenarioGoesRoundInJSON(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{
		Limits: []simulator.Limit{{Rate: 30, Burst: 5}},
		Faults: []simulator.Fault{{Effect: simulator.EffectReset, Applied: true, Probability: 0.01}},
		Users:  []simulator.User{{User: "+16505551234", Wrote: new(simulator.Duration(5))}},
	})
	want := g.Scenario()
	r := g.control("GET", "/scenario", "")
	if r := g.control("PUT", "/scenario", r.Raw); r.Status != 200 {
		t.Fatal(r.Raw)
	}
	if diff := cmp.Diff(want, g.Scenario()); diff != "" {
		t.Error(diff)
	}
	if r := g.control("PUT", "/scenario", "faults:\n- effect: html\n  times: 1\n"); r.Status != 200 {
		t.Fatal(r.Raw)
	}
	if r := g.block(users(1)...); r.Status != 502 {
		t.Errorf("the new fault did not strike: %d", r.Status)
	}
}

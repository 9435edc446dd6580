package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	f := setup(t)
	show := func(args ...string) map[string]any {
		t.Helper()
		r := f.wablock(append([]string{"limits"}, append(args, "--json")...)...)
		if r.code != 0 {
			t.Fatalf("exit code %d: %s", r.code, r.err)
		}
		var o map[string]any
		if err := json.Unmarshal([]byte(r.out), &o); err != nil {
			t.Fatalf("%v: %s", err, r.out)
		}
		return o
	}
	if o := show("show", "--rate", "30"); o["phone_number_id"] != phoneNumberID || o["ceiling"] != 30.0 || o["pinned"] != nil {
		t.Errorf("at first: %v", o)
	}
	// What is taken is what the limiter holds to.
	if o := show("show", "--rate", "0.01"); o["ceiling"] != ratelimit.MinRate {
		t.Errorf("the slowest: %v", o)
	}
	f.wablock("limits", "show", "--rate", "0.009").exits(exitUsage)
	if o := show("pin", "7.5", "--by", "ana"); o["pinned"] != 7.5 || o["rate"] != 7.5 || o["pinned_by"] != "ana" || o["pinned_at"] == nil {
		t.Errorf("pinned: %v", o)
	}
	if o := show("cap", "3", "--by", "ben"); o["capped"] != 3.0 || o["rate"] != 3.0 || o["pinned_by"] != "ana" || o["capped_by"] != "ben" {
		t.Errorf("capped: %v", o)
	}
	if r := f.wablock("limits", "show"); !strings.Contains(r.out, "pinned by ana at 2") || !strings.Contains(r.out, "capped by ben at 2") {
		t.Errorf("for people: %s", r.out)
	}
	if o := show("release"); o["pinned"] != nil || o["capped"] != nil || o["pinned_by"] != nil {
		t.Errorf("released: %v", o)
	}
	if r := f.wablock("limits", "show"); r.code != 0 || !strings.Contains(r.out, phoneNumberID) || !strings.Contains(r.out, "unused: no call yet") {
		t.Errorf("for people: %d %s", r.code, r.out)
	}
	for _, args := range [][]string{{"pin"}, {"pin", "0"}, {"pin", "fast"}, {"pin", "NaN"}, {"pin", "Inf"}, {"cap", "-1"}, {"show", "x"}} {
		if r := f.wablock(append([]string{"limits"}, args...)...); r.code != 2 {
			t.Errorf("limits %v: exit code %d", args, r.code)
		}
	}
}

// TestLimitsOfTheWorkers: what is shown is what the workers hold to, and whether their calls go.
func TestLimitsOfTheWorkers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("limits", "show").exits(exitDone).says("no worker is running")
	enter := func(id, text string) {
		t.Helper()
		if err := f.rdb.HSet(t.Context(), "wablock:workers", id, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	lane := func(id, state string) {
		t.Helper()
		text := fmt.Sprintf(`{"phone_number_id":"%s","state":"%s"}`, phoneNumberID, state)
		if err := f.rdb.HSet(t.Context(), "wablock:worker:"+id+":lanes", phoneNumberID, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
	expires := time.Now().Add(time.Hour).UnixMilli()
	enter("dead", `{"expires":1,"ceiling":{"Rate":1,"Burst":1,"MaxUsers":10}}`)
	enter("a", fmt.Sprintf(`{"expires":%d,"ceiling":{"Rate":20,"Burst":5,"MaxUsers":500}}`, expires))
	r := f.wablock("limits", "show", "--json", "--rate", "30").exits(exitDone)
	if o := r.object(); o["ceiling"] != 20.0 || o["max_users"] != 500.0 || o["state"] != "unused" || r.err != "" {
		t.Errorf("%v, %s", o, r.err)
	}
	enter("b", fmt.Sprintf(`{"expires":%d,"ceiling":{"Rate":20},"numbers":{"%s":{"Rate":7,"Burst":5,"MaxUsers":500}}}`, expires, phoneNumberID))
	lane("b", "halted")
	o := f.wablock("limits", "show", "--json").exits(exitDone).says("different limits", "7/s to 20/s").object()
	if o["ceiling"] != 7.0 || o["state"] != "halted" {
		t.Errorf("%v", o)
	}
	if out := f.wablock("limits", "show").out; !strings.Contains(out, "halted: the API refuses") || strings.Contains(out, "probing") {
		t.Errorf("for people: %s", out)
	}
	if r := f.wablock("doctor"); !strings.Contains(r.out, "halted") {
		t.Errorf("doctor: %s", r.out)
	}
	lane("b", "full")
	if o := f.wablock("limits", "show", "--json").exits(exitDone).object(); o["state"] != "full" {
		t.Errorf("%v", o)
	}
	if r := f.wablock("doctor"); !strings.Contains(r.out, "the blocklist is full") {
		t.Errorf("doctor: %s", r.out)
	}
}

// A pause of the account holds a phone number back as much as one of its own.
func TestLimitsOfTheAccount(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := f.wablock("limits", "show", "--json")
	if r.exits(exitDone); strings.Contains(r.out, `"account"`) {
		t.Errorf("before it was met: %s", r.out)
	}
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := f.env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	number, err := cfg.Selected()
	if err != nil {
		t.Fatal(err)
	}
	key := ratelimit.Key{PhoneNumberID: phoneNumberID, Account: number.Token.Account()}
	l := redislimit.New(f.rdb, nil)
	g, err := l.Take(t.Context(), key)
	if err != nil || !g.OK {
		t.Fatalf("%+v, %v", g, err)
	}
	if err := l.Report(t.Context(), key, g, ratelimit.Observation{Users: 1, Limited: true, Account: true, RetryAfter: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var o struct{ Account ratelimit.Snapshot }
	if err := json.Unmarshal([]byte(f.wablock("limits", "show", "--json").out), &o); err != nil || o.Account.PausedUntil.IsZero() {
		t.Errorf("%+v, %v", o, err)
	}
	if out := f.wablock("limits", "show").out; !strings.Contains(out, "account: paused for 1h") {
		t.Errorf("for people: %s", out)
	}
	if out := f.wablock("limits", "release").out; strings.Contains(out, "paused") {
		t.Errorf("released: %s", out)
	}
}

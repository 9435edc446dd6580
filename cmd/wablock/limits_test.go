package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wablock/wablock/ratelimit"
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
	if o := show("pin", "7.5"); o["pinned"] != 7.5 || o["rate"] != 7.5 {
		t.Errorf("pinned: %v", o)
	}
	if o := show("cap", "3"); o["capped"] != 3.0 || o["rate"] != 3.0 {
		t.Errorf("capped: %v", o)
	}
	if o := show("release"); o["pinned"] != nil || o["capped"] != nil {
		t.Errorf("released: %v", o)
	}
	if r := f.wablock("limits", "show"); r.code != 0 || !strings.Contains(r.out, phoneNumberID) || !strings.Contains(r.out, "probing") {
		t.Errorf("for people: %d %s", r.code, r.out)
	}
	for _, args := range [][]string{{"pin"}, {"pin", "0"}, {"pin", "fast"}, {"cap", "-1"}, {"show", "x"}} {
		if r := f.wablock(append([]string{"limits"}, args...)...); r.code != 2 {
			t.Errorf("limits %v: exit code %d", args, r.code)
		}
	}
}

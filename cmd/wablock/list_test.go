package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/wablock/wablock/client/simulator"
)

func (f *fixture) seed(n int) []string {
	f.Helper()
	want := make([]string, n)
	for i := range want {
		want[i] = number(i)[1:]
	}
	if err := f.sim.Seed(phoneNumberID, want...); err != nil {
		f.Fatal(err)
	}
	slices.Sort(want)
	return want
}

func TestList(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if r := f.wablock("list").exits(exitDone); r.out != "" {
		t.Errorf("an empty list shows %q", r.out)
	}
	want := f.seed(257)
	for _, limit := range []string{"7", "100", "1000"} {
		var got []string
		for _, o := range f.wablock("list", "--json", "--limit", limit).exits(exitDone).objects() {
			got = append(got, o["wa_id"].(string))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("limit %s: %d users, want %d", limit, len(got), len(want))
		}
	}
	got := strings.Fields(f.wablock("list").exits(exitDone).out)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("for people: %d users, want %d", len(got), len(want))
	}
}

func TestListNeedsAToken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.without("WABLOCK_ACCESS_TOKEN").wablock("list").exits(exitUsage).says("WABLOCK_ACCESS_TOKEN_FILE")
	f.without("WABLOCK_ACCESS_TOKEN").wablock("block", number(1)).exits(exitDone)
	missing := f.without("WABLOCK_ACCESS_TOKEN").with("WABLOCK_ACCESS_TOKEN_FILE", t.TempDir()+"/none")
	missing.wablock("list").exits(exitUsage).says("WABLOCK_ACCESS_TOKEN_FILE", "no such file")
	missing.wablock("block", number(1)).exits(exitDone)
}

func TestListSaysWhatTheAPISaid(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if err := f.sim.SetScenario(simulator.Scenario{Tokens: []simulator.Token{{Token: "another"}}}); err != nil {
		t.Fatal(err)
	}
	r := f.wablock("list").exits(exitFailed).says("190")
	if r.out != "" {
		t.Errorf("stdout has %q", r.out)
	}
}

func TestListWithoutRedis(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	r := f.with("WABLOCK_REDIS_URL", "redis://127.0.0.1:1").wablock("list").exits(exitDone).says("without regard to the rate limit")
	if n := len(strings.Fields(r.out)); n != 3 {
		t.Errorf("%d users, want 3", n)
	}
}

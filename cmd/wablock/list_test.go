package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config"
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

// TestListIsPatient lets pages fail in each way that passes, and in some that do not.
func TestListIsPatient(t *testing.T) {
	t.Parallel()
	list := []simulator.Operation{simulator.List}
	second := []time.Duration{time.Second}
	for name, c := range map[string]struct {
		fault  simulator.Fault
		want   client.Remedy // of the error, when fails
		fails  bool
		pauses []time.Duration
	}{
		"rate limit": {fault: simulator.Fault{Operations: list, Skip: 2, Times: 1, Effect: simulator.EffectFail, Code: 130429}, pauses: second},
		"rate limit for good": {
			fault: simulator.Fault{Operations: list, Effect: simulator.EffectFail, Code: 130429}, fails: true, want: client.RateLimit,
			pauses: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second},
		},
		"page of a gateway": {fault: simulator.Fault{Operations: list, Times: 1, Effect: simulator.EffectHTML}, pauses: second},
		"outage": {
			fault: simulator.Fault{Operations: list, Effect: simulator.EffectHTML}, fails: true, want: client.Retry,
			pauses: []time.Duration{time.Second, 2 * time.Second},
		},
		"changed twice":    {fault: simulator.Fault{Operations: list, WithCursor: true, Times: 2, Effect: simulator.EffectFail, Code: 139102}},
		"changes for ever": {fault: simulator.Fault{Operations: list, WithCursor: true, Effect: simulator.EffectFail, Code: 139102}, fails: true, want: client.RestartListing},
		"refused":          {fault: simulator.Fault{Operations: list, Effect: simulator.EffectFail, Code: 190}, fails: true, want: client.Halt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			if err := f.sim.SetScenario(simulator.Scenario{Faults: []simulator.Fault{c.fault}}); err != nil {
				t.Fatal(err)
			}
			want := f.seed(40)
			l, pauses := f.listing()
			entries, err := l.whole(t.Context())
			if diff := cmp.Diff(c.pauses, *pauses); diff != "" {
				t.Errorf("pauses: %s", diff)
			}
			if c.fails {
				if err == nil || client.Classify(err).Remedy != c.want {
					t.Fatalf("got %d entries, %v", len(entries), err)
				}
				return
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.WaID)
			}
			if slices.Sort(got); err != nil || !slices.Equal(got, want) {
				t.Errorf("%d of %d entries, %v", len(got), len(want), err)
			}
		})
	}
}

// listing returns one that takes down its pauses in place of pausing.
func (f *fixture) listing() (listing, *[]time.Duration) {
	f.Helper()
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := f.env[name]; return v, ok }})
	if err != nil {
		f.Fatal(err)
	}
	token, err := cfg.AccessToken.Source()
	if err != nil {
		f.Fatal(err)
	}
	api, err := newClient(cfg, token)
	if err != nil {
		f.Fatal(err)
	}
	var pauses []time.Duration
	return listing{api: api, phoneNumberID: phoneNumberID, limit: 10, say: f.Logf, pause: func(ctx context.Context, d time.Duration) error {
		pauses = append(pauses, d)
		return ctx.Err()
	}}, &pauses
}

package simulator_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func TestLoadScenario(t *testing.T) {
	t.Parallel()
	got, err := simulator.LoadScenario("testdata/scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := func(d time.Duration) simulator.Duration { return simulator.Duration(d) }
	want := simulator.Scenario{
		Seed: 7,
		PhoneNumbers: []simulator.PhoneNumber{
			{ID: "106540352242922", Own: "+15550783881", Blocked: []string{"+16505551234", "+14155559876"}},
			{ID: "106540352242923", Account: "102290129340399"},
		},
		Users: []simulator.User{
			{User: "+5592981723241", WaID: "559281723241"},
			{User: "+16505550001", Wrote: new(d(23 * time.Hour))},
		},
		Tokens:  []simulator.Token{{Token: "EAAtest"}, {Token: "EAAshort", ExpiresIn: d(10 * time.Minute)}},
		Window:  simulator.Window{SilentShare: 0.02},
		Limits:  []simulator.Limit{{Rate: 30, Burst: 5, UsersPerCall: 800}, {Scope: "account", Calls: 5000, Window: d(time.Hour)}},
		Latency: simulator.Latency{Base: d(80 * time.Millisecond), PerUser: d(70 * time.Microsecond), Jitter: d(40 * time.Millisecond)},
		Faults: []simulator.Fault{
			{Effect: simulator.EffectFailUser, Probability: 0.05},
			{Effect: simulator.EffectReset, Every: 50, Applied: true},
			{Name: "outage", Effect: simulator.EffectHTML, Operations: []simulator.Operation{simulator.Block, simulator.Unblock}, Skip: 100, Times: 20},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestScenarioRefusals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sead: 1":                                   "sead",
		`{"sead": 1}`:                               "sead",
		"seed: 1\nseed: 2":                          "seed",
		"- 1":                                       "read scenario",
		"window: {length: soon}":                    "not a duration",
		"latency: {base: -1s}":                      "not a duration",
		"window: {silent_share: 2}":                 "silent_share: 2 is not between",
		"window: {silent_share: .nan}":              "silent_share",
		"window: {scope: app}":                      `"app" is not one of`,
		"blocking: {full_list: x, capacity: -1}":    "capacity: -1 is less than 1",
		"listing: {max_limit: 10}":                  "max_limit: 10 is less than 25",
		"answers: {mixed_status: 42}":               "not a final HTTP status",
		"api_version: 25":                           "v25.0",
		"phone_numbers: [{id: abc}]":                "must be digits",
		"phone_numbers: [{id: 1}, {id: 1}]":         "listed twice",
		"phone_numbers: [{id: 1, own: 12}]":         "own: not a phone number",
		"phone_numbers: [{id: 1, blocked: [x]}]":    "blocked[0]",
		"users: !x y\n":                             "not valid YAML",
		"users: [{}]":                               "neither user nor user_id",
		"users: [{user: x}]":                        "not a phone number",
		"users: [{user_id: x}]":                     "not a business-scoped user ID",
		"users: [{user: '+16505551234', wa_id: x}]": "must be digits",
		"users: [{user: '+16505551234', silent: true, wrote: 1h}]": "silent and yet wrote",
		"tokens: [{token: ''}]":                               "is empty",
		"limits: [{}]":                                        "limits nothing",
		"limits: [{rate: -1}]":                                "is negative",
		"limits: [{rate: 1, scope: x}]":                       `"x" is not one of`,
		"faults: [{}]":                                        "effect",
		"faults: [{effect: explode}]":                         `"explode"`,
		"faults: [{effect: fail_user, operations: [list]}]":   "never happens",
		"faults: [{effect: empty_page, operations: [block]}]": "never happens",
		"faults: [{effect: delay}]":                           "needs one",
		"faults: [{effect: reset, users: [x]}]":               "users[0]",
		"faults: [{effect: reset, probability: -1}]":          "probability",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := simulator.ParseScenario([]byte(text))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
		})
	}
}

func TestLoadScenarioErrors(t *testing.T) {
	t.Parallel()
	if _, err := simulator.LoadScenario(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(path, []byte("x: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := simulator.LoadScenario(path); err == nil || !strings.Contains(err.Error(), "bad.yaml") {
		t.Errorf("got %v, want the file's name in it", err)
	}
	if sc, err := simulator.ParseScenario(nil); err != nil || !cmp.Equal(sc, simulator.Scenario{}) {
		t.Errorf("an empty file: %v", err)
	}
}

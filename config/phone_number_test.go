package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/config"
)

func TestPhoneNumbers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("of-the-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, config.Input{
		LookupEnv: env("TOKEN_2=of-its-variable", "WABLOCK_ACCESS_TOKEN=of-all", "WABLOCK_PHONE_NUMBER_ID=5"),
		File: writeFile(t, `# two numbers
rate: 30
phone_numbers:
  - id: 106540352242922
    access_token_file: "`+path+`"
    display_phone_number: +1 631-555-5555
    rate: 2.5
    burst: 6
    max_users_per_call: 100
    reconcile:
      schedule: "0 3 * * *"
      source: https://example.com/list.csv
      mode: enforce
      max_changes: 20
      column: Mobile 2
  - id: "007"
    access_token_env: TOKEN_2
    reconcile: {mode: adopt}
  - {id: 3}
  - {id: 4}
`, 0o600),
	})
	var got []config.PhoneNumber
	var tokens []string
	sources, err := cfg.Tokens()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range cfg.PhoneNumbers {
		tokens = append(tokens, sources[n.ID].Get().Reveal())
		n.Token = config.Credential{}
		got = append(got, n)
	}
	if got[0].Display.Reveal() != "+16315555555" {
		t.Errorf("display number %q", got[0].Display.Reveal())
	}
	rec := []*config.Reconcile{got[0].Reconcile, got[1].Reconcile, got[2].Reconcile}
	wantRec := []*config.Reconcile{
		{Schedule: "0 3 * * *", Source: "https://example.com/list.csv", Mode: config.Enforce, MaxChanges: 20, Column: "Mobile 2"},
		{Source: "ledger", Mode: config.Adopt, MaxChanges: 500},
		nil,
	}
	if diff := cmp.Diff(wantRec, rec); diff != "" {
		t.Error(diff)
	}
	type basics struct {
		ID           string
		Rate         float64
		Burst, Users int
		Token        string
	}
	var list []basics
	for i, n := range got {
		list = append(list, basics{n.ID, n.Rate, n.Burst, n.MaxUsersPerCall, tokens[i]})
	}
	want := []basics{
		{"106540352242922", 2.5, 6, 100, "of-the-file"},
		{"007", 30, 5, 1000, "of-its-variable"},
		{"3", 30, 5, 1000, "of-all"},
		{"4", 30, 5, 1000, "of-all"},
		{"5", 30, 5, 1000, "of-all"},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if sources["3"] != sources["5"] || sources["3"] == sources["007"] {
		t.Error("numbers with one token must share its source, others must not")
	}
}

func TestFileWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	if cfg := load(t, config.Input{File: writeFile(t, "\uFEFFrate: 3\r\nburst: 2\r\n", 0o600)}); cfg.Rate != 3 || cfg.Burst != 2 {
		t.Errorf("rate %v, burst %v", cfg.Rate, cfg.Burst)
	}
}

func TestFileWithAnAlias(t *testing.T) {
	t.Parallel()
	if cfg := load(t, config.Input{File: writeFile(t, "burst: &a 3\nrate: *a\n", 0o600)}); cfg.Rate != 3 || cfg.Burst != 3 {
		t.Errorf("rate %v, burst %v", cfg.Rate, cfg.Burst)
	}
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":           {"a: 1\n", "a is unknown (line 1"},
		"unknown key of a list": {"phone_numbers:\n  - id: 1\n    rat: 2\n", "rat is unknown (line 3"},
		"unknown key of reconcile": {
			"phone_numbers:\n- id: 1\n  reconcile:\n    mode: report\n    when: now\n", "when is unknown (line 5",
		},
		"key twice":             {"rate: 1\nburst: 2\nrate: 3\n", "line 3 of"},
		"which key twice":       {"rate: 1\nrate: 3\n", "has a key twice"},
		"value of a list":       {"phone_numbers:\n- id: 1\n  rate: x\n", `phone_numbers[0].rate is "x" (from line 3`},
		"no id":                 {"phone_numbers:\n- rate: 1\n", "has no id"},
		"id twice":              {"phone_numbers: [{id: 1}, {id: 1}]\n", "twice"},
		"id with a plus":        {"phone_numbers: [{id: '+16505551234'}]\n", "not the phone number itself"},
		"not a list":            {"phone_numbers: 5\n", "must be a list"},
		"an item that is plain": {"phone_numbers: [5]\n", "must have keys and values"},
		"file and variable":     {"phone_numbers: [{id: 1, access_token_file: a, access_token_env: B}]\n", "both"},
		"display number":        {"phone_numbers: [{id: 1, display_phone_number: 12}]\n", "too short"},
		"schedule":              {"phone_numbers: [{id: 1, reconcile: {schedule: daily}}]\n", "cron"},
		"mode":                  {"phone_numbers: [{id: 1, reconcile: {mode: yes}}]\n", "report, adopt, own or enforce"},
		"source":                {"phone_numbers: [{id: 1, reconcile: {source: 'http://example.com/x'}}]\n", "https"},
		"max_changes":           {"phone_numbers: [{id: 1, reconcile: {max_changes: -1}}]\n", "whole number"},
		"no YAML":               {"rate: [1\n", "not valid YAML"},
		"tab":                   {"phone_numbers:\n\t- id: 1\n", "not valid YAML"},
		"a list on top":         {"- 1\n", "must have keys and values"},
		"a word on top":         {"hello", "must have keys and values"},
		"two documents":         {"rate: 1\n---\nrate: 2\n", "several YAML documents"},
		"a list as a value":     {"rate: [1]\n", "plain value"},
		"a list as a value's":   {"phone_numbers: [{id: 1, rate: [1]}]\n", "plain value"},
		"a plain reconcile":     {"phone_numbers: [{id: 1, reconcile: 5}]\n", "must have keys and values"},
		"a tag without a value": {"phone_numbers: !x y\n", "not valid YAML"},
		"not ours to set":       {"WABLOCK_RATE: 3", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Input{File: writeFile(t, c.text, 0o600)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something of %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "6505551234") {
				t.Errorf("a phone number in %q", err)
			}
		})
	}
	_, err := config.Load(config.Input{File: filepath.Join(t.TempDir(), "none.yaml")})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "---\n", "rate:\n", "phone_numbers:\n", "phone_numbers: []\n"} {
		if _, err := config.Load(config.Input{File: writeFile(t, empty, 0o600)}); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestSelected(t *testing.T) {
	t.Parallel()
	one := writeFile(t, "phone_numbers: [{id: 7, rate: 3}]", 0o600)
	two := writeFile(t, "phone_numbers: [{id: 7, rate: 3}, {id: 8, rate: 4}]", 0o600)
	for name, c := range map[string]struct {
		in   config.Input
		want string
		rate float64
	}{
		"nothing":           {config.Input{}, "", 0},
		"environment":       {config.Input{LookupEnv: env("WABLOCK_PHONE_NUMBER_ID=9")}, "9", 20},
		"the only one":      {config.Input{File: one}, "7", 3},
		"one of two":        {config.Input{File: two}, "", 0},
		"flag of the list":  {config.Input{File: two, Flags: map[string]string{"phone-number-id": "8"}}, "8", 4},
		"flag outside it":   {config.Input{File: two, Flags: map[string]string{"phone-number-id": "9"}}, "9", 20},
		"flag before env":   {config.Input{LookupEnv: env("WABLOCK_PHONE_NUMBER_ID=9"), Flags: map[string]string{"phone-number-id": "8"}}, "8", 20},
		"key of the file":   {config.Input{File: writeFile(t, "phone_number_id: 0012", 0o600)}, "0012", 20},
		"env over only one": {config.Input{File: one, LookupEnv: env("WABLOCK_PHONE_NUMBER_ID=9")}, "9", 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := load(t, c.in).Selected()
			if n.ID != c.want || n.Rate != c.rate || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, config.ErrUnset) {
				t.Errorf("got %q at %v, %v", n.ID, n.Rate, err)
			}
		})
	}
}

func TestMissingTokens(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Input{File: writeFile(t, "phone_numbers: [{id: 7, access_token_env: NOT_THERE}, {id: 8}]", 0o600)})
	_, err := cfg.Tokens()
	if !errors.Is(err, config.ErrUnset) || !strings.Contains(err.Error(), "NOT_THERE") || !strings.Contains(err.Error(), "phone number ID 8") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "NOT_THERE_FILE") {
		t.Errorf("a variable is named that nothing reads: %v", err)
	}
}

func TestTheLowerLimitWins(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "rate: 4\nphone_numbers: [{id: 7, rate: 50, burst: 6, max_users_per_call: 900}, {id: 8}]", 0o600)
	for name, c := range map[string]struct {
		in          config.Input
		rate, other float64
		burst, most int
	}{
		"the file's own":    {config.Input{}, 50, 4, 6, 900},
		"a flag below":      {config.Input{Flags: map[string]string{"rate": "1", "max-users-per-call": "10"}}, 1, 1, 6, 10},
		"a flag above":      {config.Input{Flags: map[string]string{"rate": "60", "burst": "9"}}, 50, 60, 6, 900},
		"environment below": {config.Input{LookupEnv: env("WABLOCK_RATE=2", "WABLOCK_BURST=3")}, 2, 2, 3, 900},
		"flag, environment": {config.Input{Flags: map[string]string{"rate": "3"}, LookupEnv: env("WABLOCK_RATE=2")}, 3, 3, 6, 900},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.in.File = file
			n := load(t, c.in).PhoneNumbers
			if n[0].Rate != c.rate || n[1].Rate != c.other || n[0].Burst != c.burst || n[0].MaxUsersPerCall != c.most {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	for schedule, taken := range map[string]bool{
		"0 3 * * *": true, "@daily": true, "@every 6h": true, "@every 1s": true, "CRON_TZ=Europe/Berlin 0 3 * * *": true, "TZ=UTC @hourly": true, "0 0 29 2 *": true,
		"CRON_TZ=UTC": false, "TZ=Europe/Berlin": false, "TZ=": false, "CRON_TZ=UTC ": false, "TZ=UTC\t0 3 * * *": false, "CRON_TZ=Mars/Phobos 0 3 * * *": false, "CRON_TZ=Local 0 3 * * *": false,
		"0 0 30 2 *": false, "@every -5m": false, "@every 0s": false, "@every 1ms": false, "@every": false, "TZ=UTC @every -5m": false, "CRON_TZ=UTC CRON_TZ=UTC 0 3 * * *": false, "* * * *": false,
	} {
		t.Run(schedule, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(config.Input{File: writeFile(t, "phone_numbers: [{id: 1, reconcile: {schedule: "+strconv.Quote(schedule)+"}}]", 0o600)})
			if (err == nil) != taken || taken && cfg.PhoneNumbers[0].Reconcile.Schedule != schedule {
				t.Errorf("%v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "phone_numbers[0].reconcile.schedule") {
				t.Errorf("%v", err)
			}
		})
	}
}

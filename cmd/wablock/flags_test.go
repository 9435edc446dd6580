package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "1d30m1s": 24*time.Hour + 30*time.Minute + time.Second,
		"-1h": -time.Hour, "1h30m": 90 * time.Minute,
	} {
		var got time.Duration
		if err := (duration{&got}).Set(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "d", "7 d", "-7d", "7d-1h", "7d+1h", "1h7d", "1.5d", "7dd", "7D", "999999d", "106751d23h59m", "1w"} {
		var got time.Duration
		if err := (duration{&got}).Set(text); err == nil {
			t.Errorf("%s is taken for %v", text, got)
		}
	}
}

func TestDurationsWithoutDaysAreGos(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		var got time.Duration
		if err := (duration{&got}).Set(d.String()); err != nil || got != d {
			t.Fatalf("%v: got %v, %v", d, got, err)
		}
	})
}

// TestOutOfRange: what can't be is wrong usage, not a failure.
func TestOutOfRange(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, args := range [][]string{{"--delay", "99999h"}, {"--delay", "9999d"}, {"--retention", "99999h"}, {"--retention", "0s"}, {"--delay", "7d-1h"}} {
		f.wablock(append([]string{"block", number(1)}, args...)...).exits(exitUsage).says(args[0])
	}
	f.wablock("block", number(1), "--delay", "7d", "--retention", "1d12h").exits(exitDone)
}

func TestVersionFlag(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if got, want := f.wablock("--version").exits(exitDone).out, f.wablock("version").exits(exitDone).out; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValuesAreCompleted(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct{ args, want string }{
		{"block --queue", "interactive bulk"},
		{"dead-letter redrive --queue", "interactive bulk"},
		{"reconcile --mode", "report adopt enforce own"},
		{"worker --log-level", "debug info warn error"},
		{"status --log-format", "text json"},
	} {
		got := f.wablock(append([]string{"__complete"}, append(strings.Fields(c.args), "")...)...).exits(exitDone).out
		if lines := strings.Join(strings.Fields(got), " "); lines != c.want+" :4" {
			t.Errorf("%s: got %q", c.args, lines)
		}
	}
}

func TestConfigVariable(t *testing.T) {
	t.Parallel()
	f := setup(t).without("WABLOCK_PHONE_NUMBER_ID")
	f = f.with("WABLOCK_CONFIG", f.write("phone_numbers: [{id: 7}]"))
	if o := f.wablock("block", number(1), "--json").exits(exitDone).object(); o["phone_number_id"] != "7" {
		t.Errorf("got %v", o)
	}
	other := f.write("phone_numbers: [{id: 8}]")
	if o := f.wablock("block", number(1), "--json", "--config", other).exits(exitDone).object(); o["phone_number_id"] != "8" {
		t.Errorf("the flag does not beat the variable: %v", o)
	}
	f.with("WABLOCK_CONFIG", "/nowhere.yaml").wablock("block", number(1)).exits(exitUsage).says("nowhere.yaml")
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	f := setup(t)
	mistyped := f.with("WABLOCK_RTAE", "5")
	mistyped.wablock("block", number(1)).exits(exitDone).says("WABLOCK_RTAE")
	if r := mistyped.wablock("doctor", "--json"); !strings.Contains(r.out, "WABLOCK_RTAE") {
		t.Errorf("doctor has nothing of it: %s", r.out)
	}
	for _, name := range []string{"WABLOCK_CONFIG", "WABLOCK_SERVICE_HOST", "WABLOCK_PORT_8080_TCP", "WABLOCK_TEST_REDIS_URL", "WABLOCK_TOKEN_US", "OTHER"} {
		g := f.with(name, "")
		g.env["WABLOCK_CONFIG"] = f.write("phone_numbers: [{id: " + phoneNumberID + ", access_token_env: WABLOCK_TOKEN_US}]")
		if r := g.wablock("block", number(1)).exits(exitDone); strings.Contains(r.err, "not a setting") {
			t.Errorf("%s: %s", name, r.err)
		}
	}
}

// TestPipeThatStaysSilent: a pipe that has no writer blocks the program that opens it.
func TestPipeThatStaysSilent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pipe := f.TempDir() + "/pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"block", "--file", pipe}, {"status", "--config", pipe, number(1)}, {"reconcile", "--file", pipe}, {"dev", "--file", pipe, "--http-addr", ""},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)
			g := *f
			g.T = t
			g.wablockWith(ctx, "", args...).exits(exitInterrupted)
		})
	}
}

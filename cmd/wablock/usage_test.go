package main

import (
	"context"
	"runtime"
	"strings"
	"testing"
)

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	missing := f.TempDir() + "/none.csv"
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":              {nil, "name a command"},
		"help of nothing":      {[]string{"help", "blok"}, "did you mean block?"},
		"another shell":        {[]string{"completion", "tcsh"}, `unknown command "tcsh"`},
		"unknown command":      {[]string{"blok"}, "did you mean block?"},
		"mistyped command":     {[]string{"statsu"}, "did you mean status?"},
		"no command at all":    {[]string{"frobnicate"}, `unknown command "frobnicate" for "wablock"`},
		"unknown flag":         {[]string{"block", "--nope"}, "unknown flag"},
		"flag without a value": {[]string{"block", "--file"}, "needs an argument"},
		"no numbers":           {[]string{"block"}, "no numbers"},
		"no valid number":      {[]string{"block", "12", "x"}, "none of the numbers"},
		"unblock no number":    {[]string{"unblock"}, "no numbers"},
		"missing file":         {[]string{"block", "--file", missing}, "no such file"},
		"a folder":             {[]string{"block", "--file", f.TempDir()}, "directory"},
		"queue":                {[]string{"block", "--queue", "reconcile", number(1)}, "interactive, bulk"},
		"job ID":               {[]string{"block", "--job-id", "a\nb", number(1)}, "--job-id"},
		"job ID of the number": {[]string{"block", "--job-id", "block-" + number(1)[1:], number(1)}, "--job-id"},
		"delay and wait":       {[]string{"block", "--delay", "1h", "--wait", number(1)}, "leave one out"},
		"delay":                {[]string{"block", "--delay", "-1h", number(1)}, "from 0 up"},
		"delay without unit":   {[]string{"block", "--delay", "5", number(1)}, "invalid argument"},
		"status of none":       {[]string{"status"}, "no numbers"},
		"status of no number":  {[]string{"status", "hello"}, "none of the numbers"},
		"list of a number":     {[]string{"list", number(1)}, "list takes no arguments"},
		"list limit":           {[]string{"list", "--limit", "0"}, "1 to 1000"},
		"dead-letter alone":    {[]string{"dead-letter"}, "name a command"},
		"dead-letter unknown":  {[]string{"dead-letter", "redrief"}, "did you mean redrive?"},
		"redrive without":      {[]string{"dead-letter", "redrive"}, "--all"},
		"discard without":      {[]string{"dead-letter", "discard"}, "--all"},
		"redrive of no number": {[]string{"dead-letter", "redrive", number(1), "x"}, "nothing was done"},
		"redrive dry wait":     {[]string{"dead-letter", "redrive", "--all", "--dry-run", "--wait"}, "leave one out"},
		"code":                 {[]string{"dead-letter", "list", "--code", "x"}, "--code"},
		"phone number ID":      {[]string{"block", "--phone-number-id", "+16505551234", number(1)}, "WABLOCK_PHONE_NUMBER_ID"},
		"setting":              {[]string{"block", "--redis-url", "http://x", number(1)}, "WABLOCK_REDIS_URL"},
		"config file":          {[]string{"block", "--config", missing, number(1)}, "none.csv"},
		"port":                 {[]string{"simulator", "--addr", "127.0.0.1:65536"}, "host:port"},
		"scenario":             {[]string{"simulator", "--scenario", missing}, "none.csv"},
		"version of something": {[]string{"version", "x"}, "takes no arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := *f
			g.T = t
			r := g.wablock(c.args...).exits(exitUsage).says(c.says)
			if r.out != "" {
				t.Errorf("stdout has %q", r.out)
			}
			if strings.Contains(r.err, number(1)) {
				t.Errorf("stderr repeats a number: %q", r.err)
			}
		})
	}
	if n := f.usersEnqueued(); n != 0 {
		t.Errorf("%d users were enqueued", n)
	}
}

// A script's --file "$FILE" with nothing in the variable must not reconcile with the ledger,
// --job-id "$ID" not make a job that can't be repeated, --config "$C" not use the defaults.
func TestEmptyFlags(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	for _, args := range [][]string{
		{"reconcile", "--apply", "--file", ""},
		{"reconcile", "--apply", "--source="},
		{"reconcile", "--apply", "--plan-file", ""},
		{"block", number(1), "--file", ""},
		{"block", number(1), "--job-id", ""},
		{"block", number(1), "--queue", ""},
		{"block", number(1), "--config", ""},
		{"--config=", "block", number(1)},
		{"dev", "--once", "--file", ""},
		{"simulator", "--scenario", ""},
	} {
		f.wablock(args...).exits(exitUsage).says("is empty")
	}
	if n := f.usersEnqueued(); n != 0 || len(f.sim.Journal()) > 0 {
		t.Errorf("%d users were enqueued, %d calls made", n, len(f.sim.Journal()))
	}
	f.wablock("worker", "--http-addr", "", "--rate", "x").exits(exitUsage).says("--rate")
}

func TestCommandsNeedAPhoneNumberID(t *testing.T) {
	t.Parallel()
	f := setup(t).without("WABLOCK_PHONE_NUMBER_ID")
	for _, args := range [][]string{{"block", number(1)}, {"unblock", number(1)}, {"status", number(1)}, {"list"}} {
		f.wablock(args...).exits(exitUsage).says("--phone-number-id", "WABLOCK_PHONE_NUMBER_ID")
	}
	one := f.write("phone_numbers: [{id: 7}]")
	f.wablock("block", "--config", one, number(1)).exits(exitDone)
	two := f.write("phone_numbers: [{id: 7}, {id: 8}]")
	f.wablock("block", "--config", two, number(1)).exits(exitUsage).says("2 of them")
	f.wablock("block", "--config", two, "--phone-number-id", "8", number(1)).exits(exitDone)
}

func TestWrongSettingsAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.with("WABLOCK_RATE", "fast").wablock("block", number(1)).exits(exitUsage).says("WABLOCK_RATE", `"fast"`, "from 0.01")
	f.with("WABLOCK_ACCESS_TOKEN_FILE", "/x").wablock("block", number(1)).exits(exitUsage).says("WABLOCK_ACCESS_TOKEN_FILE are both set")
	f.wablock("block", "--config", f.write("rate: 3\nratee: 4\n"), number(1)).exits(exitUsage).says("ratee", "line 2")
}

func TestRedisDoesNotAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	gone := f.with("WABLOCK_REDIS_URL", "redis://u:hunter2@127.0.0.1:1/0")
	for _, args := range [][]string{{"block", number(1)}, {"status", number(1)}, {"dead-letter", "list"}} {
		gone.wablock(args...).exits(exitFailed).says("redis://***@127.0.0.1:1/0", "WABLOCK_REDIS_URL")
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.wablockWith(ctx, "", "block", number(1)).exits(exitInterrupted)
	f.wablockWith(ctx, "", "list").exits(exitInterrupted)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	f := setup(t)
	o := f.wablock("version", "--json").exits(exitDone).object()
	if o["go_version"] != runtime.Version() || o["version"] == "" {
		t.Errorf("got %v", o)
	}
	if out := f.wablock("version").exits(exitDone).out; !strings.Contains(out, runtime.Version()) || !strings.Contains(out, "commit") {
		t.Errorf("got %q", out)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range f.commands() {
		r := f.wablock(append(c, "--help")...).exits(exitDone)
		if r.out == "" || r.err != "" {
			t.Errorf("%v: help goes to stdout alone, got %q on stderr", c, r.err)
		}
	}
	if r := f.wablock("completion", "bash").exits(exitDone); !strings.Contains(r.out, "__start_wablock") {
		t.Error("the completions are not on stdout")
	}
}

// commands lists every command by its path.
func (f *fixture) commands() (all [][]string) {
	for _, c := range rootCommand(&cli{}).Commands() {
		all = append(all, []string{c.Name()})
		for _, s := range c.Commands() {
			all = append(all, []string{c.Name(), s.Name()})
		}
	}
	return all
}

func TestErrorsForPeople(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"nothing was done: reconcile: no desired list: http://x/y: reconcile: no desired list: numbers: read: unexpected EOF": "nothing was done: no desired list: http://x/y: read: unexpected EOF",
		"config: WABLOCK_RATE is \"fast\"": "WABLOCK_RATE is \"fast\"",
		"argument 1: user: holds a letter": "argument 1: holds a letter",
		"tasks":                            "",
		"a: b":                             "a: b",
	} {
		if got := plain(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

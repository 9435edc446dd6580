package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

var update = flag.Bool("update", false, "write the tables of README.md")

const (
	top        = "../.."
	readmePath = top + "/README.md"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadmeTables holds the tables of README.md to the code that they are about.
func TestReadmeTables(t *testing.T) {
	old := read(t, readmePath)
	text := old
	for name, table := range map[string]string{"commands": commandsTable(), "settings": settingsTable(), "codes": codesTable()} {
		part := regexp.MustCompile(`(?s)(<!-- ` + name + `: [^>]*-->\n).*?(<!-- end -->)`)
		if !part.MatchString(text) {
			t.Fatalf("README.md has no markers for %s", name)
		}
		text = part.ReplaceAllString(text, "${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}")
	}
	if text == old {
		return
	}
	if *update {
		if err := os.WriteFile(readmePath, []byte(text), 0o600); err != nil { // it exists, and keeps its mode
			t.Fatal(err)
		}
		return
	}
	t.Errorf("README.md is behind the code; mend it with: go test ./cmd/wablock -run TestReadme -update\n%s",
		cmp.Diff(strings.Split(old, "\n"), strings.Split(text, "\n")))
}

func commandsTable() string {
	var b strings.Builder
	b.WriteString("| command | |\n|---|---|\n")
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if c.HasSubCommands() {
				walk(c)
				continue
			}
			use := strings.TrimSuffix(strings.ReplaceAll(c.UseLine(), "|", `\|`), " [flags]")
			fmt.Fprintf(&b, "| `%s` | %s |\n", use, c.Short)
		}
	}
	walk((&app{}).rootCommand())
	return b.String()
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, s := range config.Settings() {
		name, value := "", s.Default
		if s.Flag != "" {
			name = "`--" + s.Flag + "`"
		}
		switch {
		case value == "":
			value = "none"
		case !strings.ContainsAny(value, " `"):
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Variable, name, value, s.Meaning)
	}
	return b.String()
}

// codesTable has a row for each remedy and advice, with all codes that lead to them.
func codesTable() string {
	type row struct{ codes, does, help string }
	var rows []row
	for _, r := range client.Rules() {
		code, does := codeLabel(r), action(r)
		i := slices.IndexFunc(rows, func(o row) bool { return o.does == does && o.help == r.Help })
		if i < 0 {
			rows = append(rows, row{code, does, r.Help})
			continue
		}
		rows[i].codes += "<br>" + code
	}
	var b strings.Builder
	b.WriteString("| code | wablock | you |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.codes, r.does, r.help)
	}
	return b.String()
}

func codeLabel(r client.Rule) string {
	switch {
	case r.Code == client.NoCode:
		return "(no code) " + r.Name
	case r.Last != 0:
		return fmt.Sprintf("**%d–%d** %s", r.Code, r.Last, r.Name)
	case r.Subcode != 0:
		return fmt.Sprintf("**%d**, subcode %d: %s", r.Code, r.Subcode, r.Name)
	}
	return fmt.Sprintf("**%d** %s", r.Code, r.Name)
}

func action(r client.Rule) string {
	switch r.Remedy {
	case client.Retry:
		if !r.UsesAttempt {
			return "repeats the call, uncounted"
		}
		if r.Outage {
			return "retries; of whole calls: may be an outage"
		}
		return "retries"
	case client.DeadLetter:
		return "dead-letters the user"
	case client.ListFull:
		return "dead-letters the user; sends no more blocks for the phone number ID until there is room"
	case client.RateLimit:
		return "slows the phone number ID down"
	case client.AccountRateLimit:
		return "slows down all phone number IDs that share the token"
	case client.Halt:
		return "stops, keeps all work"
	case client.RestartListing:
		return "lists again"
	}
	return r.Remedy.String()
}

// fences returns the fenced blocks of a language.
func fences(text, language string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

func TestReadmeFirstScreen(t *testing.T) {
	t.Parallel()
	lines := strings.Split(read(t, readmePath), "\n")
	for _, want := range []string{"go run ./cmd/wablock dev", "go test ./..."} {
		if !slices.ContainsFunc(lines[:min(30, len(lines))], func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("the first 30 lines of README.md have no %q", want)
		}
	}
	for _, step := range builtIn().steps {
		if want := step.what + ": " + count(len(step.users), "number"); !slices.Contains(lines, "wablock: "+want) {
			t.Errorf("README.md shows an output of dev without %q", want)
		}
	}
}

// TestReadmeCommands holds what README.md tells people to type to the commands and flags there are.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	n := 0
	for _, block := range fences(read(t, readmePath), "sh") {
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, " #")
			for _, m := range regexp.MustCompile(`(?:^| |go run \./cmd/)wablock ((?:[a-z-]+ ?)[^|<]*)`).FindAllStringSubmatch(line, -1) {
				n++
				checkCommand(t, strings.Fields(m[1]))
			}
		}
	}
	if n < 20 {
		t.Errorf("found only %d commands in README.md", n)
	}
}

func checkCommand(t *testing.T, words []string) {
	t.Helper()
	cmd, rest, err := (&app{}).rootCommand().Find(words)
	if err != nil || !cmd.Runnable() || cmd.HasSubCommands() {
		t.Errorf("README.md: no such command: wablock %s", strings.Join(words, " "))
		return
	}
	for _, w := range rest {
		name, isFlag := strings.CutPrefix(w, "--")
		if isFlag && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			t.Errorf("README.md: wablock %s has no flag %s", cmd.Name(), w)
		}
	}
}

// TestReadmeGo: each line of Go is one of the example, which compiles and runs.
func TestReadmeGo(t *testing.T) {
	t.Parallel()
	var lines []string
	for l := range strings.Lines(read(t, top+"/tasks/example_test.go")) {
		lines = append(lines, strings.TrimSpace(l))
	}
	for _, block := range fences(read(t, readmePath), "go") {
		for l := range strings.Lines(block) {
			if l = strings.TrimSpace(l); !strings.HasPrefix(l, "//") && !slices.Contains(lines, l) {
				t.Errorf("README.md has Go that tasks/example_test.go has not: %s", l)
			}
		}
	}
}

func TestReadmeYAML(t *testing.T) {
	t.Parallel()
	for _, block := range fences(read(t, readmePath), "yaml") {
		path := filepath.Join(t.TempDir(), "wablock.yaml")
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Input{File: path})
		if err != nil || len(cfg.PhoneNumbers) != 2 {
			t.Errorf("got %v, %v", cfg, err)
		}
	}
}

// TestReadmeNames: queues, task types, variables and metrics that README.md names are there.
func TestReadmeNames(t *testing.T) {
	t.Parallel()
	text := read(t, readmePath)
	names := []string{tasks.QueueDeadLetter, tasks.TypeBlock, tasks.TypeUnblock, tasks.TypeReconcile, tasks.TypeDeadLetter}
	for _, q := range ledger.Queues() {
		names = append(names, string(q))
	}
	for _, n := range names {
		if !strings.Contains(text, "`"+n+"`") {
			t.Errorf("README.md does not name %s", n)
		}
	}
	known := []string{"WABLOCK_", "WABLOCK_PORT", "WABLOCK_TEST_REQUIRE_REDIS", "WABLOCK_TEST_REDIS_URL"}
	for _, s := range config.Settings() {
		known = append(known, s.Variable)
	}
	for _, v := range regexp.MustCompile(`WABLOCK_[A-Z_]*`).FindAllString(text, -1) {
		if !slices.Contains(known, v) {
			t.Errorf("README.md names %s, which is no setting", v)
		}
	}
	checkMetrics(t, text)
}

func checkMetrics(t *testing.T, text string) {
	t.Helper()
	files, err := filepath.Glob(top + "/worker/metrics/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of metrics: %v", err)
	}
	var source strings.Builder
	for _, f := range files {
		source.WriteString(read(t, f))
	}
	for _, m := range regexp.MustCompile("`wablock_([a-z_]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(source.String(), `"`+m[1]+`"`) && !strings.Contains(source.String(), `"wablock_`+m[1]+`"`) {
			t.Errorf("README.md names the metric wablock_%s, which there is not", m[1])
		}
	}
}

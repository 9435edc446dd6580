package main

import (
	stdcmp "cmp"
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
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

var update = flag.Bool("update", false, "write the generated parts of docs/settings.md, docs/errors.md and docs/commands.md")

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

// pages returns README.md and the pages of docs, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(top + "/docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	all := map[string]string{readmePath: read(t, readmePath)}
	for _, p := range paths {
		all[p] = read(t, p)
	}
	return all
}

// TestReference holds the generated parts of docs to the code that they describe.
func TestReference(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]string{"settings": settingsTable(), "errors": codesTable(), "commands": commandsReference()} {
		path := top + "/docs/" + name + ".md"
		old := read(t, path)
		part := regexp.MustCompile(`(?s)(<!-- generated: [^>]*-->\n).*?(<!-- end -->)`)
		if !part.MatchString(old) {
			t.Fatalf("%s has no markers of its generated part", path)
		}
		text := part.ReplaceAllString(old, "${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}")
		if text == old {
			continue
		}
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil { // it exists, and keeps its mode
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is behind the code; update it with: go test ./cmd/wablock -run TestReference -update\n%s",
			path, cmp.Diff(strings.Split(old, "\n"), strings.Split(text, "\n")))
	}
}

// commandsReference returns a table of all commands, then the help and flags of each.
func commandsReference() string {
	var table, details strings.Builder
	table.WriteString("| command | |\n|---|---|\n")
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, c := range parent.Commands() {
			if c.Hidden || c.Name() == "help" || c.Name() == "completion" { // the latter are cobra's
				continue
			}
			if c.HasSubCommands() {
				walk(c)
				continue
			}
			use := strings.TrimSuffix(c.UseLine(), " [flags]")
			fmt.Fprintf(&table, "| `%s` | %s |\n", strings.ReplaceAll(use, "|", `\|`), c.Short)
			fmt.Fprintf(&details, "\n## %s\n\n```text\n%s\n", c.CommandPath(), stdcmp.Or(c.Long, c.Short))
			if flags := c.LocalNonPersistentFlags().FlagUsages(); flags != "" {
				fmt.Fprintf(&details, "\n%s", flags)
			}
			details.WriteString("```\n")
		}
	}
	root := rootCommand(&cli{})
	walk(root)
	fmt.Fprintf(&details, "\n## Flags of every command\n\n```text\n%s```\n", root.PersistentFlags().FlagUsages())
	return table.String() + details.String()
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
		said := "wablock: " + step.what + ":"
		for _, l := range lines {
			if want := said + " " + amounts.Count(len(step.users), "number"); strings.HasPrefix(l, said) && l != want {
				t.Errorf("README.md shows an output of dev, %q, that is %q by now", l, want)
			}
		}
	}
}

// TestDocumentedCommands holds what the pages tell people to type to the commands and flags there are.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	n := 0
	for path, text := range pages(t) {
		for _, block := range fences(text, "sh") {
			for line := range strings.Lines(block) {
				line, _, _ = strings.Cut(line, " #")
				for _, m := range regexp.MustCompile(`(?:^| |go run \./cmd/)wablock ((?:[a-z-]+ ?)[^|<>)&]*)`).FindAllStringSubmatch(line, -1) {
					n++
					checkCommand(t, path, strings.Fields(m[1]))
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("found only %d commands in README.md and docs", n)
	}
}

func checkCommand(t *testing.T, path string, words []string) {
	t.Helper()
	cmd, rest, err := rootCommand(&cli{}).Find(words)
	if err != nil || !cmd.Runnable() || cmd.HasSubCommands() {
		t.Errorf("%s: no such command: wablock %s", path, strings.Join(words, " "))
		return
	}
	for _, w := range rest {
		name, isFlag := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && cmd.Flag(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
			t.Errorf("%s: wablock %s has no flag %s", path, cmd.Name(), w)
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

// TestDocumentedYAML loads each configuration file that the pages show.
func TestDocumentedYAML(t *testing.T) {
	t.Parallel()
	n := 0
	for path, text := range pages(t) {
		for _, block := range fences(text, "yaml") {
			if !strings.Contains(block, "phone_numbers:") || filepath.Base(path) == "simulator.md" {
				continue // a scenario of the simulator
			}
			n++
			file := filepath.Join(t.TempDir(), "wablock.yaml")
			if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Input{File: file}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if n == 0 {
		t.Error("neither README.md nor docs shows a configuration file")
	}
}

// TestDocumentedNames: queues, task types, variables and metrics that the pages name exist.
func TestDocumentedNames(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for path, text := range pages(t) {
		all.WriteString(text)
		checkVariables(t, path, text)
		checkMetrics(t, path, text)
	}
	names := []string{queues.DeadLetter, queues.TypeBlock, queues.TypeUnblock, queues.TypeReconcile, queues.TypeDeadLetter}
	for _, q := range ledger.Queues() {
		names = append(names, string(q))
	}
	for _, n := range names {
		if !strings.Contains(all.String(), "`"+n+"`") {
			t.Errorf("neither README.md nor docs names %s", n)
		}
	}
}

func checkVariables(t *testing.T, path, text string) {
	t.Helper()
	for _, v := range regexp.MustCompile(`WABLOCK_[A-Z_]*`).FindAllString(text, -1) {
		set := func(s config.Setting) bool { return s.Variable == v }
		ofTests := strings.HasPrefix(v, "WABLOCK_TEST_") || strings.HasPrefix(v, "WABLOCK_CHAOS_")
		if v != "WABLOCK_" && v != "WABLOCK_PORT" && v != configVariable && !ofTests && !slices.ContainsFunc(config.Settings(), set) {
			t.Errorf("%s names %s, which is not a setting", path, v)
		}
	}
}

func checkMetrics(t *testing.T, path, text string) {
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
			t.Errorf("%s names the metric wablock_%s, which does not exist", path, m[1])
		}
	}
}

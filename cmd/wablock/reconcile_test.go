package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, x := range list {
		out[i], _ = x.(string)
	}
	return out
}

func span(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, number(i))
	}
	return all
}

func lineEach(numbers []string) string { return strings.Join(numbers, "\n") + "\n" }

func TestReconcilePlanAndApply(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(100)
	file := f.write(lineEach(span(3, 102)))
	saved := filepath.Join(t.TempDir(), "plan.json")

	f.wablock("reconcile", "--file", file, "--plan-file", saved).exits(exitDone)
	plan := f.wablock("reconcile", "--json", "--file", file).exits(exitDone).object()
	if d := cmp.Diff(span(100, 102), texts(plan["to_block"])); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(span(0, 3), texts(plan["to_unblock"])); d != "" {
		t.Error(d)
	}
	if plan["phone_number_id"] != phoneNumberID || plan["desired"] != 99.0 || plan["actual"] != 100.0 || plan["applied"] != false {
		t.Errorf("%v", plan)
	}
	if n := f.usersEnqueued(); n != 0 {
		t.Errorf("a plan enqueued %d", n)
	}
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	f.worker()
	done := f.wablock("reconcile", "--apply", "--plan-file", saved, "--wait", "--json").exits(exitDone).object()
	if done["applied"] != true || done["hash"] != plan["hash"] || done["succeeded"] != 5.0 || done["unblocks_enqueued"] != 3.0 {
		t.Errorf("%v", done)
	}
	// This fixture's worker makes no calls, so the list is as it was; the records are not.
	f.wablock("reconcile", "--apply", "--plan-file", saved).exits(exitFailed).says("stale", "nothing was done")
	if h := f.wablock("reconcile", "--history", "--json").exits(exitDone).objects(); len(h) != 2 || h[1]["applied"] != true || h[0]["error"] == nil {
		t.Errorf("%v", h)
	}
	if r := f.wablock("reconcile", "--history").exits(exitDone); !strings.Contains(r.out, "STARTED") || strings.Contains(r.out, number(0)) {
		t.Errorf("%s", r.out)
	}
}

// TestReconcilePlanKeepsHowItsNumbersWereRead applies a saved plan without the flags that it was made with.
func TestReconcilePlanKeepsHowItsNumbersWereRead(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	saved := filepath.Join(t.TempDir(), "plan.json")
	file := f.write("old,new\n,(650) 200-0000\n,(650) 200-0001\n,(650) 200-0002\n,(650) 200-0003\n")
	f.wablock("reconcile", "--file", file, "--column", "new", "--country", "US", "--plan-file", saved).exits(exitDone)
	done := f.wablock("reconcile", "--apply", "--plan-file", saved, "--json").exits(exitDone).object()
	if done["blocks_enqueued"] != 1.0 || done["source_column"] != "new" || done["source_country"] != "US" {
		t.Errorf("%v", done)
	}
}

// TestReconcileLeavesOutProtected: a plan says how many are protected, in text and JSON.
func TestReconcileLeavesOutProtected(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	f.wablock("protect", "add", number(4), "--reason", "staff").exits(exitDone)
	file := f.write(lineEach(span(0, 5)))
	o := f.wablock("reconcile", "--file", file, "--json").exits(exitDone).object()
	if d := cmp.Diff([]string{number(3)}, texts(o["to_block"])); d != "" || o["protected"] != 1.0 {
		t.Errorf("%s, %v protected", d, o["protected"])
	}
	if r := f.wablock("reconcile", "--file", file).exits(exitDone); !strings.Contains(r.out, "Not blocked, since they are protected: 1;") {
		t.Errorf("%s", r.out)
	}
}

func TestReconcileFromStandardInput(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	saved := filepath.Join(t.TempDir(), "plan.json")
	in := lineEach(span(0, 4)) + "nonsense\n"
	r := f.wablockWith(t.Context(), in, "reconcile", "--file", "-", "--plan-file", saved).exits(exitPartly).says("line 5 rejected")
	if !strings.Contains(r.out, "To block: 1.") || !strings.Contains(r.out, number(3)) {
		t.Errorf("%s", r.out)
	}
	f.wablock("reconcile", "--apply", "--plan-file", saved).exits(exitUsage).says("standard input")
	f.wablockWith(t.Context(), in, "reconcile", "--apply", "--file", "-", "--plan-file", saved).exits(exitPartly)
	if n := f.usersEnqueued(); n != 1 {
		t.Errorf("%d enqueued", n)
	}
}

// TestReconcileFromAPipe: what the shell makes of --file <(command) can be read only once.
func TestReconcileFromAPipe(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(3)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	if _, err := write.WriteString(lineEach(span(0, 4))); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	o := f.wablock("reconcile", "--apply", "--json", "--file", fmt.Sprintf("/dev/fd/%d", read.Fd())).exits(exitDone).object()
	if d := cmp.Diff([]string{number(3)}, texts(o["to_block"])); d != "" {
		t.Error(d)
	}
}

// TestReconcileFromNationalNumbers: a desired list is read by the same rules as numbers to block.
func TestReconcileFromNationalNumbers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(2)
	file := f.write("id,first,second\n4912345678,(650) 200-0000,(650) 200-0001\n4912345679,(650) 200-0001,(650) 200-0000\n")
	f.wablock("reconcile", "--file", file).exits(exitUsage).says("--column", `2 "first"`)
	o := f.wablock("reconcile", "--json", "--file", file, "--column", "first", "--country", "US").exits(exitDone).object()
	column, _ := o["column"].(map[string]any)
	if o["desired"] != 2.0 || len(texts(o["to_block"]))+len(texts(o["to_unblock"])) != 0 || column["number"] != 2.0 {
		t.Errorf("%v", o)
	}
	f = f.with("WABLOCK_DEFAULT_COUNTRY", "US")
	f.wablock("reconcile", "--file", file, "--column", "3").exits(exitDone).says(`column 3, "second"`)
	conf := f.write("phone_numbers: [{id: " + phoneNumberID + ", reconcile: {source: " + file + ", column: second}}]\n")
	f.wablock("reconcile", "--config", conf).exits(exitDone).says(`column 3, "second"`)
}

func TestReconcileGuards(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(100)
	file := f.write(lineEach(append(span(0, 60), number(500))))
	r := f.wablock("reconcile", "--apply", "--file", file, "--json").exits(exitPartly).says("--approve")
	o := r.object()
	if o["applied"] != false || o["blocks_enqueued"] != 1.0 || o["unblocks_enqueued"] != 0.0 {
		t.Errorf("%v", o)
	}
	hash, _ := o["hash"].(string)
	f.wablock("reconcile", "--apply", "--file", file, "--approve", "nonsense").exits(exitFailed).says("stale", hash)
	o = f.wablock("reconcile", "--apply", "--file", file, "--approve", hash, "--json").exits(exitDone).object()
	if o["applied"] != true || o["approved"] != true || o["unblocks_enqueued"] != 40.0 {
		t.Errorf("%v", o)
	}
}

func TestReconcileModes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	want := f.seed(30)
	o := f.wablock("reconcile", "--apply", "--mode", "adopt", "--json").exits(exitDone).object()
	if o["adopted"] != 30.0 || len(texts(o["to_adopt"])) != 30 || o["blocks_enqueued"] != 0.0 {
		t.Errorf("%v", o)
	}
	o = f.wablock("reconcile", "--json").exits(exitDone).object()
	if o["desired"] != 30.0 || len(texts(o["to_block"]))+len(texts(o["to_unblock"])) != 0 {
		t.Errorf("%v", o)
	}
	if got := f.sim.Snapshot(phoneNumberID); len(got) != len(want) {
		t.Errorf("%d listed", len(got))
	}
}

func TestReconcileUsage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	notPlan := f.write("{}")
	for _, args := range [][]string{
		{"--plan", "--apply"},
		{"--file", "a", "--source", "b"},
		{"--approve", "x"},
		{"--wait"},
		{"--apply", "--mode", "report"},
		{"--mode", "erase"},
		{"--history", "--apply"},
		{"--max-changes", "-1"},
		{"--source", "ftp://example.com"},
		{"something"},
		{"--file", "/nowhere/at/all.csv"},
		{"--apply", "--plan-file", notPlan},
		{"--apply", "--plan-file", "/nowhere/plan.json"},
	} {
		r := f.wablock(append([]string{"reconcile"}, args...)...)
		if r.code != exitUsage {
			t.Errorf("%q: exit code %d: %s", args, r.code, r.err)
		}
	}
	f.without("WABLOCK_ACCESS_TOKEN").wablock("reconcile").exits(exitUsage)
	f.without("WABLOCK_ACCESS_TOKEN").wablock("reconcile", "--history").exits(exitDone)
	if i := slices.Index(f.sim.PhoneNumberIDs(), phoneNumberID); i >= 0 && len(f.sim.Journal()) > 0 {
		t.Errorf("%d calls for nothing", len(f.sim.Journal()))
	}
}

// TestReconcilePlanFile saves a plan over a file that all may read, and to where none can be.
func TestReconcilePlanFile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(10)
	file := f.write(lineEach(span(0, 9)))
	calls := len(f.sim.Journal())
	for _, path := range []string{"/dev/full", "/nowhere/plan.json", t.TempDir()} {
		f.wablock("reconcile", "--file", file, "--plan-file", path).exits(exitUsage).says("--plan-file", path)
	}
	if n := len(f.sim.Journal()) - calls; n > 0 {
		t.Errorf("%d calls before the file was tried", n)
	}
	saved := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(saved, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.wablock("reconcile", "--file", file, "--plan-file", saved).exits(exitDone)
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(saved)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestReconcileFirst applies a list of which no run is remembered: once it is approved, the next
// runs go on by themselves.
func TestReconcileFirst(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(100)
	file := f.write(lineEach(span(2, 100)))
	o := f.wablock("reconcile", "--apply", "--file", file, "--json").exits(exitPartly).says("--approve").object()
	if guards, _ := o["guards"].([]any); len(guards) != 1 || o["unblocks_enqueued"] != 0.0 || !strings.Contains(fmt.Sprint(guards), "first") {
		t.Errorf("%v", o)
	}
	hash, _ := o["hash"].(string)
	o = f.wablock("reconcile", "--apply", "--file", file, "--approve", hash, "--json").exits(exitDone).object()
	if o["unblocks_enqueued"] != 2.0 {
		t.Errorf("%v", o)
	}
	if err := os.WriteFile(file, []byte(lineEach(span(4, 100))), 0o600); err != nil {
		t.Fatal(err)
	}
	o = f.wablock("reconcile", "--apply", "--file", file, "--json").exits(exitDone).object()
	if o["unblocks_enqueued"] != 2.0 {
		t.Errorf("%v", o)
	}
}

// TestReconcileOwn names the mode.
func TestReconcileOwn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(10)
	o := f.wablock("reconcile", "--mode", "own", "--file", f.write(lineEach(span(0, 5))), "--json").exits(exitDone).object()
	if ambiguous, _ := o["ambiguous"].([]any); o["mode"] != "own" || len(texts(o["to_unblock"])) != 0 || len(ambiguous) != 5 {
		t.Errorf("%v", o)
	}
}

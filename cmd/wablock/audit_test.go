package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAudit: each command that changes something says so in the audit log, with who asked, and no number.
func TestAudit(t *testing.T) {
	t.Parallel()
	f := setup(t).with("USER", "ana")
	f.wablock("audit").exits(exitDone).says("no events")
	f.kill(number(1), number(2))
	f.wablock("limits", "pin", "5", "--by", "ben").exits(exitDone)
	f.wablock("limits", "cap", "4").exits(exitDone)
	f.wablock("limits", "release").exits(exitDone)
	f.wablock("dead-letter", "discard", number(1)).exits(exitDone)
	f.wablock("dead-letter", "redrive", "--code", "131047", "--dry-run").exits(exitDone)
	f.wablock("dead-letter", "redrive", "--code", "131047").exits(exitDone)
	f.wablock("reconcile", "--apply", "--file", f.write(number(3)+"\n")).exits(exitDone)

	r := f.wablock("audit", "--json").exits(exitDone)
	var actions []string
	for _, o := range r.objects() {
		action, _ := o["action"].(string)
		if action == "job" {
			continue // of the jobs above
		}
		actions = append(actions, action)
		want := "ana@"
		if action == "pin" {
			want = "ben"
		}
		if by, _ := o["by"].(string); !strings.HasPrefix(by, want) || o["at"] == nil || o["phone_number_id"] != phoneNumberID {
			t.Errorf("%v", o)
		}
	}
	if want := []string{"reconcile", "redrive", "discard", "release", "cap", "pin"}; !slices.Equal(actions, want) {
		t.Errorf("%v, want %v", actions, want)
	}
	if out := f.wablock("audit").out; strings.Contains(r.out+out, number(1)[1:]) || !strings.Contains(out, "5 calls a second") || !strings.Contains(out, "code 131047") {
		t.Errorf("for people: %s", out)
	}
	if n := len(f.wablock("audit", "--json", "--limit", "2", "--since", "1h").exits(exitDone).objects()); n != 2 {
		t.Errorf("%d of the last 2", n)
	}
	if n := len(f.wablock("audit", "--json", "--since", "2100-01-01T00:00:00Z").exits(exitDone).objects()); n != 0 {
		t.Errorf("%d since 2100", n)
	}
	for _, args := range [][]string{{"--limit", "0"}, {"--limit", "20001"}, {"--since", "yesterday"}, {"--since", "-1h"}, {"x"}} {
		f.wablock(append([]string{"audit"}, args...)...).exits(exitUsage)
	}
	for _, by := range []string{strings.Repeat("x", 101), "a\nb", "a\x1b[31m", "\xff"} {
		f.wablock("limits", "pin", "5", "--by", by).exits(exitUsage).says("--by")
	}
}

// TestAuditOfJobs: an accepted job is an event, once, with who asked and why.
func TestAuditOfJobs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for range 2 {
		f.wablock("block", "--job-id", "spam-7", "--by", "ana@trust", "--reason", "spam wave", "--reference", "TS-4711", number(1), number(2)).exits(exitDone)
	}
	f.wablock("block", "--dry-run", number(1)).exits(exitDone)
	f.wablock("undo", "spam-7", "--by", "ben").exits(exitDone)
	var got []map[string]any
	for _, o := range f.wablock("audit", "--json").exits(exitDone).objects() {
		delete(o, "at")
		got = append(got, o)
	}
	want := []map[string]any{
		{"action": "undo", "by": "ben", "phone_number_id": phoneNumberID, "job_id": "spam-7", "users": 2.0},
		{
			"action": "job", "by": "ana@trust", "phone_number_id": phoneNumberID, "operation": "block", "job_id": "spam-7", "users": 2.0,
			"reason": "spam wave", "reference": "TS-4711",
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r := f.wablock("audit").exits(exitDone); !strings.Contains(r.out, "spam wave (TS-4711)") || !strings.Contains(r.out, "block, spam-7, 2 numbers") {
		t.Errorf("%s", r.out)
	}
}

// TestAuditFails: what was done counts although the log could not be written.
func TestAuditFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if err := f.rdb.Set(t.Context(), "wablock:audit", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if o := f.wablock("limits", "pin", "5", "--json").exits(exitDone).says("audit log").object(); o["pinned"] != 5.0 {
		t.Errorf("%v", o)
	}
}

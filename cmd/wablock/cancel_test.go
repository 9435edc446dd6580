package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "--job-id", "wrong", number(1), number(2)).exits(exitDone)
	if got := f.wablock("cancel", "wrong", "--dry-run", "--json").exits(exitDone).object(); got["canceled"] != 2.0 || got["dry_run"] != true {
		t.Errorf("a dry run: %v", got)
	}
	if s := f.wablock("status", "--json", number(1)).exits(exitDone).object(); s["state"] != "pending" {
		t.Errorf("after a dry run: %v", s)
	}
	got := f.wablock("cancel", "wrong", "--by", "ana@trust", "--json").exits(exitDone).object()
	want := map[string]any{"job_id": "wrong", "canceled": 2.0, "in_flight": 0.0, "settled": 0.0}
	if d := cmp.Diff(want, only(got, "job_id", "canceled", "in_flight", "settled")); d != "" {
		t.Error(d)
	}
	if s := f.wablock("status", "--json", number(1)).exits(exitDone).object(); s["state"] != "unknown" {
		t.Errorf("after it: %v", s)
	}
	if j := f.wablock("job", "wrong", "--json").exits(exitDone).object(); j["state"] != "canceled" || j["canceled"] != 2.0 || j["pending"] != 0.0 {
		t.Errorf("the job: %v", j)
	}
	if e := f.wablock("audit", "--json").exits(exitDone).objects(); e[0]["action"] != "cancel" || e[0]["by"] != "ana@trust" || e[0]["job_id"] != "wrong" {
		t.Errorf("the audit log: %v", e)
	}
	f.wablock("cancel", "wrong").exits(exitFailed).says("was canceled before")
	f.wablock("block", "--job-id", "wrong", number(1), number(2)).exits(exitFailed).says("was canceled", "another --job-id")
	f.wablock("cancel", "none").exits(exitFailed).says("no job none is known")
	f.worker() // whose task of the canceled job ends, and blocks no user
	f.wablock("block", "--job-id", "other", "--wait", number(3)).exits(exitDone)
	f.wablock("cancel", "other").exits(exitFailed).says("is done", "undo")
	f.await(func() bool { return f.wablock("status", "--json", number(1)).object()["state"] == "unknown" })
}

func TestCancelOfAPlannedJob(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker()
	f.wablock("block", "--wait", number(1)).exits(exitDone)
	f.wablock("unblock", "--job-id", "later", "--delay", "7d", number(1)).exits(exitDone)
	if s := f.wablock("status", "--json", number(1)).object(); s["planned"] == nil {
		t.Errorf("before: %v", s)
	}
	if got := f.wablock("cancel", "later", "--json").exits(exitDone).object(); got["canceled"] != 1.0 {
		t.Errorf("%v", got)
	}
	if s := f.wablock("status", "--json", number(1)).object(); s["planned"] != nil || s["state"] != "succeeded" {
		t.Errorf("after: %v", s)
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker()
	f.wablock("block", "--wait", number(1)).exits(exitDone) // stays blocked
	f.wablock("block", "--job-id", "wrong", "--wait", number(1), number(2), number(3)).exits(exitDone)
	f.wablock("block", "--wait", number(3)).exits(exitDone) // a later request
	dry := f.wablock("undo", "wrong", "--dry-run", "--json").exits(exitDone).object()
	if d := cmp.Diff(map[string]any{"canceled": 0.0, "reversed": 1.0, "left": 2.0}, only(dry, "canceled", "reversed", "left")); d != "" {
		t.Error(d)
	}
	got := f.wablock("undo", "wrong", "--by", "ana@trust", "--reason", "wrong file", "--json").exits(exitDone).object()
	if d := cmp.Diff(map[string]any{"canceled": 0.0, "reversed": 1.0, "left": 2.0}, only(got, "canceled", "reversed", "left")); d != "" {
		t.Error(d)
	}
	id, ok := got["undo_job_id"].(string)
	if !ok {
		t.Fatalf("%v", got)
	}
	j := f.wablock("job", id, "--wait", "--json").exits(exitDone).object()
	want := map[string]any{"operation": "unblock", "undo_of": "wrong", "requested_by": "ana@trust", "reason": "wrong file", "accepted": 1.0, "succeeded": 1.0}
	if d := cmp.Diff(want, only(j, "operation", "undo_of", "requested_by", "reason", "accepted", "succeeded")); d != "" {
		t.Error(d)
	}
	for n, operation := range map[string]string{number(1): "block", number(2): "unblock", number(3): "block"} {
		if s := f.wablock("status", "--json", n).object(); s["operation"] != operation || s["state"] != "succeeded" {
			t.Errorf("%v", s)
		}
	}
	if again := f.wablock("undo", "wrong", "--json").exits(exitDone).object(); again["reversed"] != 0.0 {
		t.Errorf("again: %v", again)
	}
	f.wablock("undo", id).exits(exitFailed).says("undoes another job")
	f.wablock("undo", "none").exits(exitFailed).says("no job none is known")
}

// TestUndoLeavesProtected: undoing an unblock blocks no user who was protected since.
func TestUndoLeavesProtected(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker()
	f.wablock("block", "--wait", number(1), number(2)).exits(exitDone)
	f.wablock("unblock", "--job-id", "wrong", "--wait", number(1), number(2)).exits(exitDone)
	f.wablock("protect", "add", number(2)).exits(exitDone)
	for _, args := range [][]string{{"--dry-run"}, {}} {
		o := f.wablock(append([]string{"undo", "wrong", "--json"}, args...)...).exits(exitDone).object()
		if d := cmp.Diff(map[string]any{"reversed": 1.0, "left": 1.0}, only(o, "reversed", "left")); d != "" {
			t.Errorf("%v: %s", args, d)
		}
	}
}

// TestUndoOfWhatWaits cancels, and asks for nothing.
func TestUndoOfWhatWaits(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "--job-id", "wrong", number(1), number(2)).exits(exitDone)
	got := f.wablock("undo", "wrong", "--json").exits(exitDone).object()
	if d := cmp.Diff(map[string]any{"canceled": 2.0, "reversed": 0.0, "left": 0.0}, only(got, "canceled", "reversed", "left")); d != "" || got["undo_job_id"] != nil {
		t.Error(d, got)
	}
}

package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJob(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker(number(2))
	f.wablock("block", "--job-id", "spam-1", "--by", "ana@trust", "--reason", "phishing wave", "--reference", "T-17", "--wait",
		number(1), number(2), "12").exits(exitPartly)
	r := f.wablock("job", "spam-1", "--json", "--wait").exits(exitPartly).says("1 number dead-lettered, 1 input rejected")
	want := map[string]any{
		"job_id": "spam-1", "operation": "block", "phone_number_id": phoneNumberID, "state": "done", "requested_by": "ana@trust",
		"reason": "phishing wave", "reference": "T-17", "accepted": 2.0, "succeeded": 1.0, "dead_lettered": 1.0, "superseded": 0.0,
		"canceled": 0.0, "pending": 0.0, "codes": map[string]any{"131047": 1.0}, "rejected": 1.0,
	}
	o := r.object()
	if diff := cmp.Diff(want, only(o, "job_id", "operation", "phone_number_id", "state", "requested_by", "reason", "reference", "accepted",
		"succeeded", "dead_lettered", "superseded", "canceled", "pending", "codes", "rejected")); diff != "" {
		t.Error(diff)
	}
	if o["requested_at"] == nil || o["settled_at"] == nil {
		t.Errorf("no times in %v", o)
	}
	out := f.wablock("job", "spam-1").exits(exitPartly).out
	for _, want := range []string{"ana@trust", "phishing wave", "T-17", "1 × 131047", "dead-lettered 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("the text has no %q:\n%s", want, out)
		}
	}
	s := f.wablock("status", "--json", number(1)).exits(exitDone).object()
	if diff := cmp.Diff(map[string]any{"job_id": "spam-1", "requested_by": "ana@trust", "reason": "phishing wave", "reference": "T-17"},
		only(s, "job_id", "requested_by", "reason", "reference")); diff != "" {
		t.Error(diff)
	}
	f.wablock("job", "none").exits(exitFailed).says("no job none is known")
}

func TestJobReport(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker(number(2))
	f.wablock("block", "--job-id", "j", "--wait", number(1), number(2), "=1+1").exits(exitPartly)
	f.wablock("unblock", "--wait", number(1)).exits(exitDone)
	path := filepath.Join(t.TempDir(), "report.csv")
	f.wablock("job", "j", "--csv", path).exits(exitPartly)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	printed := f.wablock("job", "j", "--csv", "-").exits(exitPartly).out
	if printed != string(file) {
		t.Errorf("the file differs from what was printed:\n%s", printed)
	}
	rows, err := csv.NewReader(strings.NewReader(printed)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, row := range rows[1:] {
		states[row[0]] = row[2] + " " + row[3] + " " + row[5]
	}
	want := map[string]string{"'" + number(1): "superseded  ", "'" + number(2): "dead_lettered 131047 yes", "'=1+1": "rejected  "}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("jobs").exits(exitDone).says("no jobs")
	for _, id := range []string{"a", "b", "c"} {
		f.wablock("block", "--job-id", id, number(1)).exits(exitDone)
	}
	f.wablock("unblock", "--job-id", "later", "--delay", "7d", number(1)).exits(exitDone)
	ids := func(args ...string) (ids []any) {
		for _, o := range f.wablock(append([]string{"jobs", "--json"}, args...)...).exits(exitDone).objects() {
			ids = append(ids, o["job_id"])
		}
		return ids
	}
	for _, c := range []struct {
		args []string
		want []any
	}{
		{nil, []any{"later", "c", "b", "a"}},
		{[]string{"--limit", "2"}, []any{"later", "c"}},
		{[]string{"--state", "planned"}, []any{"later"}},
		{[]string{"--state", "waiting"}, []any{"c"}},
		{[]string{"--state", "done"}, []any{"b", "a"}},
	} {
		if diff := cmp.Diff(c.want, ids(c.args...)); diff != "" {
			t.Errorf("%v: %s", c.args, diff)
		}
	}
	if out := f.wablock("jobs").exits(exitDone).out; !strings.Contains(out, "planned for ") {
		t.Error(out)
	}
	s := f.wablock("status", "--json", number(1)).exits(exitDone).object()
	planned, _ := s["planned"].([]any)
	if len(planned) != 1 || planned[0].(map[string]any)["job_id"] != "later" {
		t.Errorf("planned: %v", s["planned"])
	}
	f.wablock("jobs", "--state", "odd").exits(exitUsage).says("--state")
	f.wablock("jobs", "--limit", "0").exits(exitUsage).says("--limit")
}

// TestAsOf: a request is ordered by the event behind it.
func TestAsOf(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "--job-id", "new", number(1)).exits(exitDone)
	f.wablock("unblock", "--job-id", "replayed", "--as-of", time.Now().Add(-time.Hour).Format(time.RFC3339), number(1), number(2)).exits(exitDone)
	if s := f.wablock("status", "--json", number(1)).object(); s["operation"] != "block" {
		t.Errorf("an older event decided: %v", s)
	}
	o := f.wablock("job", "--json", "replayed").exits(exitDone).object()
	if o["superseded"] != 1.0 || o["pending"] != 1.0 {
		t.Errorf("%v", o)
	}
	f.wablock("block", "--as-of", "yesterday", number(1)).exits(exitUsage).says("--as-of")
	f.wablock("block", "--as-of", "2999-01-01T00:00:00Z", number(1)).exits(exitUsage).says("future")
	f.wablock("block", "--reason", "a\nb", number(1)).exits(exitUsage).says("the reason")
	f.wablock("block", "--for", "0s", number(1)).exits(exitUsage).says("--for is 0s")
	f.wablock("unblock", "--for", "1d", number(1)).exits(exitUsage).says("block alone", "--delay")
	f.wablock("unblock", "--until", "2999-01-01T00:00:00Z", number(1)).exits(exitUsage).says("block alone")
	f.wablock("block", "--reason", "it was "+number(1), number(1)).exits(exitUsage).says("holds the number")
}

func TestBlockDryRun(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker()
	f.wablock("block", "--wait", number(1)).exits(exitDone)
	o := f.wablock("block", "--dry-run", "--json", number(1), number(2), "12").exits(exitPartly).object()
	want := map[string]any{
		"operation": "block", "dry_run": true, "accepted": 2.0, "new": 1.0, "already": 1.0, "list_before": 1.0, "list_after": 2.0, "list_capacity": 64000.0,
	}
	if diff := cmp.Diff(want, only(o, "operation", "dry_run", "accepted", "new", "already", "list_before", "list_after", "list_capacity")); diff != "" {
		t.Error(diff)
	}
	if s := f.wablock("status", "--json", number(2)).object(); s["state"] != "unknown" {
		t.Errorf("a dry run changed %v", s)
	}
	f.wablock("unblock", "--dry-run", number(1)).exits(exitDone)
	f.wablock("block", "--dry-run", "--wait", number(1)).exits(exitUsage)
	f.wablock("block", "--dry-run", "--as-of", "2999-01-01T00:00:00Z", number(1)).exits(exitUsage).says("future")
	f.wablock("protect", "add", number(3), number(4), "--reason", "staff").exits(exitDone)
	if r := f.wablock("block", "--dry-run", number(2), number(3), "12").exits(exitPartly); !strings.Contains(r.out, "2 rejected, 1 of them protected.") {
		t.Errorf("%s", r.out)
	}
	o = f.wablock("block", "--dry-run", "--json", number(3), number(4)).exits(exitPartly).object()
	if d := cmp.Diff(map[string]any{"accepted": 0.0, "protected": 2.0, "new": 0.0}, only(o, "accepted", "protected", "new")); d != "" {
		t.Error(d)
	}
}

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/waiting"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", number(1), number(2), number(3)).exits(exitDone)
	l := ledger.New(f.rdb, phoneNumberID)
	if _, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: "held", Max: 1, Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	states := map[any]int{}
	for _, o := range f.wablock("status", "--json", number(1), number(2), number(3), number(9)).exits(exitDone).objects() {
		states[o["state"]]++
		if o["state"] == "unknown" {
			if diff := cmp.Diff(map[string]any{"user": number(9), "phone_number_id": phoneNumberID, "state": "unknown"}, o); diff != "" {
				t.Error(diff)
			}
		}
		if _, there := o["settled_at"]; there {
			t.Errorf("settled at once: %v", o)
		}
	}
	if diff := cmp.Diff(map[any]int{"pending": 2, "in_flight": 1, "unknown": 1}, states); diff != "" {
		t.Error(diff)
	}
}

func TestStatusOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.worker(number(2))
	f.wablock("block", "--wait", "--job-id", "j", "--by", "ana", number(1), number(2)).exits(exitPartly)
	all := f.wablock("status", "--json", number(1), number(2)).exits(exitDone).objects()
	for _, o := range all {
		for _, key := range []string{"requested_at", "settled_at"} {
			at, err := time.Parse(time.RFC3339, o[key].(string))
			if err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("%s is %v: %v", key, o[key], err)
			}
			delete(o, key)
		}
		if v, _ := o["version"].(float64); v < 1e15 {
			t.Errorf("version %v", o["version"])
		}
		delete(o, "version")
	}
	want := []map[string]any{
		{
			"user": number(1), "phone_number_id": phoneNumberID, "operation": "block", "state": "succeeded", "wa_id": number(1)[1:],
			"attempts": all[0]["attempts"], "queue": "interactive", "job_id": "j", "requested_by": "ana",
		},
		{
			"user": number(2), "phone_number_id": phoneNumberID, "operation": "block", "state": "dead_lettered", "code": 131047.0,
			"message": "Re-engagement message", "details": "more than 24 hours", "attempts": 1.0, "queue": "interactive", "job_id": "j",
			"requested_by": "ana", "waiting_text": waiting.WindowText,
		},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	r := f.wablock("status", number(1), number(2), "x").exits(exitPartly)
	for _, want := range []string{"USER", number(1), "succeeded", "dead_lettered", "131047", "Re-engagement message"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the table has nothing of %q:\n%s", want, r.out)
		}
	}
}

// TestStatusUnderTwoNames asks about a person who was blocked under one name and unblocked, later,
// under another one.
func TestStatusUnderTwoNames(t *testing.T) {
	t.Parallel()
	f := setup(t)
	l := ledger.New(f.rdb, phoneNumberID)
	carryOut := func(command, number string) {
		f.wablock(command, number).exits(exitDone)
		c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: command, Max: 1, Timeout: time.Minute})
		if err != nil || len(c.Users) != 1 {
			t.Fatalf("%+v, %v", c, err)
		}
		s := ledger.Settlement{User: c.Users[0].User, Version: c.Users[0].Version, Do: ledger.Succeed, WaID: "559281723241", Effect: c.Operation}
		if _, err := l.Settle(t.Context(), c.ID, []ledger.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
	carryOut("block", "+5592981723241")
	carryOut("unblock", "+559281723241")
	all := f.wablock("status", "--json", "+5592981723241", "+559281723241").exits(exitDone).objects()
	if all[0]["superseded_by"] != "+559281723241" || all[0]["operation"] != "block" || all[1]["superseded_by"] != nil {
		t.Errorf("%v", all)
	}
	if r := f.wablock("status", "+5592981723241").exits(exitDone); !strings.Contains(r.out, "superseded by +559281723241") {
		t.Error(r.out)
	}
}

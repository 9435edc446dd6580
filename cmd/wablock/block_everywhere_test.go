package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const otherPhoneNumberID = "106540352242923"

// TestBlockEverywhere blocks users on two phone number IDs: where one has not written, the block waits for that.
func TestBlockEverywhere(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.env["WABLOCK_CONFIG"] = f.write("phone_numbers: [{id: " + phoneNumberID + "}, {id: " + otherPhoneNumberID + "}]")
	other := f.with("WABLOCK_PHONE_NUMBER_ID", otherPhoneNumberID)
	f.wablock("protect", "add", number(3), "--phone-number-id", otherPhoneNumberID).exits(exitDone)
	f.worker(number(2))
	other.worker(number(1))
	f.wablock("block", "--everywhere", "--phone-number-id", phoneNumberID, number(1)).exits(exitUsage).says("leave one out")

	args := []string{"block", "--everywhere", "--wait", "--json", "--job-id", "spam-7", number(1), number(2), number(3)}
	r := f.wablock(args...).exits(exitPartly).says("1 number rejected as protected", "2 blocks waiting")
	o := r.object()
	var jobs []map[string]any
	for _, j := range o["jobs"].([]any) {
		jobs = append(jobs, only(j.(map[string]any), "job_id", "phone_number_id", "accepted", "tasks"))
	}
	if diff := cmp.Diff([]map[string]any{
		{"job_id": "spam-7@" + phoneNumberID, "phone_number_id": phoneNumberID, "accepted": 3.0, "tasks": 1.0},
		{"job_id": "spam-7@" + otherPhoneNumberID, "phone_number_id": otherPhoneNumberID, "accepted": 2.0, "tasks": 1.0},
	}, jobs); diff != "" {
		t.Error(diff)
	}
	delete(o, "jobs")
	if diff := cmp.Diff(map[string]any{
		"job_id": "spam-7", "operation": "block", "everywhere": true, "accepted": 3.0, "rejected": []any{}, "tasks": 2.0,
		"succeeded": 3.0, "dead_lettered": 0.0, "superseded": 0.0, "pending": 2.0, "window": 2.0,
	}, o); diff != "" {
		t.Error(diff)
	}

	for id, waiting := range map[string]string{phoneNumberID: number(2), otherPhoneNumberID: number(1)} {
		o := f.wablock("status", "--json", "--phone-number-id", id, waiting).exits(exitDone).object()
		if diff := cmp.Diff(map[string]any{"state": "pending", "waiting_for": "window", "code": 131047.0, "job_id": "spam-7@" + id},
			only(o, "state", "waiting_for", "code", "job_id")); diff != "" {
			t.Error(diff)
		}
	}
	if o := f.wablock("job", "--json", "spam-7@"+phoneNumberID).exits(exitPartly).object(); o["standing"] != true {
		t.Errorf("the job: %v", o)
	}
	again := f.wablock("block", "--everywhere", "--json", "--job-id", "spam-7", number(1), number(2), number(3)).exits(exitPartly).object()
	if again["job_id"] != "spam-7" || again["accepted"] != 3.0 {
		t.Errorf("the repeat: %v", again)
	}
	// Redriven, and refused again: it is a standing block still.
	f.wablock("dead-letter", "redrive", "--all", "--wait", "--by", "ana@trust", "--phone-number-id", phoneNumberID).exits(exitPartly)
	o = f.wablock("status", "--json", "--phone-number-id", phoneNumberID, number(2)).exits(exitDone).object()
	if o["state"] != "pending" || o["waiting_for"] != "window" || o["requested_by"] != "ana@trust" {
		t.Errorf("after a redrive: %v", o)
	}
	// A block of one phone number ID alone is no standing one.
	f.wablock("block", "--wait", number(2)).exits(exitPartly)
	if o := f.wablock("status", "--json", number(2)).exits(exitDone).object(); o["state"] != "dead_lettered" || o["waiting_for"] != nil {
		t.Errorf("a plain block: %v", o)
	}
}

func TestBlockEverywhereRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("unblock", "--everywhere", number(1)).exits(exitUsage)
	f.without("WABLOCK_PHONE_NUMBER_ID").wablock("block", "--everywhere", number(1)).exits(exitUsage).says("WABLOCK_PHONE_NUMBER_ID")
	f.wablock("block", "--everywhere", "--job-id", strings.Repeat("k", 250), number(1)).exits(exitUsage).says("--job-id")
	f.wablock("protect", "add", number(1), "--all").exits(exitDone)
	f.wablock("block", "--everywhere", number(1)).exits(exitUsage).says("nothing was done")
	if n := f.usersEnqueued(); n != 0 {
		t.Errorf("%d users enqueued", n)
	}
	all := f.wablock("block", "--everywhere", "--dry-run", "--json", number(1), number(2)).exits(exitPartly).objects()
	if len(all) != 1 || all[0]["accepted"] != 1.0 || all[0]["dry_run"] != true {
		t.Errorf("a dry run: %v", all)
	}
}

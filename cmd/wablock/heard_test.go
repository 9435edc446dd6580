package main

import (
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
)

// TestHeard: a block that was refused with 131047 is asked for again when its user has written.
func TestHeard(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", number(1)).exits(exitDone)
	if err := work(t.Context(), ledger.New(f.rdb, phoneNumberID), deadletter.New(f.rdb), "c", map[string]bool{number(1): true}); err != nil {
		t.Fatal(err)
	}
	old := f.wablock("heard", "--at", time.Now().Add(-48*time.Hour).Format(time.RFC3339), number(1)).exits(exitDone)
	old.says("no effect")
	got := f.wablock("heard", "--json", number(1), number(2), "12").exits(exitPartly).objects()[0]
	if got["accepted"] != 2.0 || got["revived"] != 1.0 || len(got["rejected"].([]any)) != 1 || got["phone_number_id"] != phoneNumberID {
		t.Errorf("%v", got)
	}
	o := f.wablock("status", "--json", number(1)).exits(exitDone).objects()[0]
	if o["state"] != "pending" || o["queue"] != "interactive" || o["last_heard_at"] == nil {
		t.Errorf("%v", o)
	}
	if r := f.wablock("heard", number(1)).exits(exitDone); !strings.Contains(r.out, "Heard: 1 number; 0 asked for again.") {
		t.Errorf("again: %s", r.out)
	}
	for _, at := range []string{"soon", "-5", "1969-01-01T00:00:00Z"} {
		f.wablock("heard", "--at", at, number(1)).exits(exitUsage).says("--at")
	}
	f.wablock("heard", "--at", "9999-01-01T00:00:00Z", number(1)).exits(exitPartly).says("five minutes ahead")
	f.wablock("heard").exits(exitUsage)
}

package main

import (
	"strings"
	"testing"
)

func TestProtect(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("protect", "list").exits(exitDone).says("no users")
	f.worker()
	f.wablock("block", number(1), "--wait").exits(exitDone)
	o := f.wablock("protect", "add", number(1), number(2), "x", "--reason", "staff", "--by", "ana", "--json").exits(exitPartly).says("wablock unblock").object()
	if o["protected"] != 2.0 || len(o["blocked"].([]any)) != 1 || len(o["rejected"].([]any)) != 1 {
		t.Errorf("%v", o)
	}
	list := f.wablock("protect", "list", "--json").exits(exitDone).objects()
	if len(list) != 2 || list[0]["user"] != number(1) || list[0]["reason"] != "staff" || list[0]["requested_by"] != "ana" {
		t.Errorf("%v", list)
	}
	job := f.wablock("block", number(2), number(3), "--json").exits(exitPartly).object()
	if rejected, _ := job["rejected"].([]any); job["accepted"] != 1.0 || len(rejected) != 1 || !strings.Contains(rejected[0].(map[string]any)["reason"].(string), "staff") {
		t.Errorf("%v", job)
	}
	f.wablock("block", number(2)).exits(exitUsage).says("protected")
	f.wablock("unblock", number(1), "--wait").exits(exitDone)
	if o := f.wablock("protect", "remove", number(2), "--json").exits(exitDone).object(); o["removed"] != 1.0 {
		t.Errorf("%v", o)
	}
	f.wablock("block", number(2), "--wait").exits(exitDone)
	f.wablock("protect", "add", "--all", number(4), "--reason", "customer").exits(exitDone)
	f.wablock("block", number(5), "--wait").exits(exitDone)
	f.wablock("protect", "add", "--all", number(5)).exits(exitDone).says("blocked already on phone number ID "+phoneNumberID, "wablock unblock")
	f.wablock("protect", "remove", "--all", number(5)).exits(exitDone)
	if list := f.wablock("protect", "list", "--all", "--json").exits(exitDone).objects(); len(list) != 1 || list[0]["all"] != true {
		t.Errorf("%v", list)
	}
	f.wablock("block", number(4)).exits(exitUsage)
	if out := f.wablock("audit").out; strings.Count(out, "protect") < 3 || strings.Contains(out, number(2)[1:]) {
		t.Errorf("audit: %s", out)
	}
	f.wablock("protect", "add", number(1), "--reason", "a\nb").exits(exitUsage)
	f.wablock("protect", "add").exits(exitUsage)
	f.wablock("protect", "add", number(1), "--all", "--phone-number-id", "1").exits(exitUsage).says("leave one out")
}

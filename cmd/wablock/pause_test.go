package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", number(1)).exits(exitDone)
	o := f.wablock("pause", "--reason", "wrong file", "--by", "ana", "--for", "2h", "--json").exits(exitDone).object()
	if o["phone_number_id"] != phoneNumberID || o["reason"] != "wrong file" || o["requested_by"] != "ana" || o["since"] == nil || o["until"] == nil {
		t.Errorf("%v", o)
	}
	if d := cmp.Diff([]any{"block", "unblock"}, o["operations"]); d != "" {
		t.Error(d)
	}
	s := f.wablock("status", "--json", number(1)).exits(exitDone).object()
	if text, _ := s["waiting_text"].(string); s["waiting_for"] != "paused" || !strings.Contains(text, "ana: wrong file") || !strings.Contains(text, "wablock resume") {
		t.Errorf("status: %v", s)
	}
	if o := f.wablock("limits", "show", "--json").exits(exitDone).object(); o["state"] != "paused" || o["pauses"] == nil {
		t.Errorf("limits show: %v", o)
	}
	if r := f.wablock("doctor"); !strings.Contains(r.out, "are paused since") {
		t.Errorf("doctor: %s", r.out)
	}
	f.wablock("pause", "--all", "--operation", "block", "--reason", "review").exits(exitDone)
	f.wablock("resume", "--json").exits(exitDone).says("still", "for all phone number IDs")
	if s := f.wablock("status", "--json", number(1)).exits(exitDone).object(); s["waiting_for"] != "paused" {
		t.Errorf("status: %v", s)
	}
	if out := f.wablock("resume", "--all").exits(exitDone).out; !strings.Contains(out, "resumed: block") {
		t.Errorf("%s", out)
	}
	if out := f.wablock("resume").exits(exitDone).out; !strings.Contains(out, "nothing was paused") {
		t.Errorf("%s", out)
	}
	if s := f.wablock("status", "--json", number(1)).exits(exitDone).object(); s["waiting_for"] == "paused" {
		t.Errorf("status: %v", s)
	}
	if out := f.wablock("audit").out; strings.Count(out, "pause") < 2 || strings.Count(out, "resume") < 2 || !strings.Contains(out, "wrong file") {
		t.Errorf("audit: %s", out)
	}
}

func TestPauseRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for text, args := range map[string][]string{
		"needs a reason":          {"pause"},
		"leave one out":           {"pause", "--all", "--phone-number-id", "1", "--reason", "x"},
		"--reason TEXT":           {"pause", "--reason", " "},
		"control character":       {"pause", "--reason", "a\nb"},
		"10240 characters":        {"pause", "--reason", strings.Repeat("x", 10240)},
		"--operation is":          {"pause", "--reason", "x", "--operation", "list"},
		"not a duration":          {"pause", "--reason", "x", "--for", "soon"},
		"--for is 0s":             {"pause", "--reason", "x", "--for", "0s"},
		"--for is -1h":            {"pause", "--reason", "x", "--for", "-1h"},
		"allowed: block, unblock": {"resume", "--operation", "x"},
	} {
		f.wablock(args...).exits(exitUsage).says(text)
	}
	if n := f.rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

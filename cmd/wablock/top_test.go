package main

import (
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/worker/web/overview"
)

// TestTop: it is printed once where there is no terminal, names what is the matter, and shows no number.
func TestTop(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("block", "+16505551234", "--job-id", "spam-42", "--by", "ana").exits(exitDone)
	f.wablock("pause", "--reason", "wrong file", "--by", "ben").exits(exitDone)
	text := f.wablock("top").exits(exitDone).out
	for _, want := range []string{"STOPPED", "No worker is running", "→ Start `wablock worker`", "paused", "ben", "wrong file", phoneNumberID, "spam-42"} {
		if !strings.Contains(text, want) {
			t.Errorf("top does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "16505551234") || strings.Contains(text, "\x1b") {
		t.Errorf("top shows a number, or steers the terminal:\n%s", text)
	}
	o := f.wablock("top", "--json").exits(exitDone).object()
	if list, ok := o["attention"].([]any); !ok || len(list) != 2 || o["phone_numbers"] == nil || o["at"] == nil {
		t.Errorf("%v", o)
	}
	f.wablock("top", "now").exits(exitUsage)
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	var p overview.PhoneNumber
	p.Minutes = make([]figures.Minute, 60)
	if got := blocks(p); strings.TrimSpace(got) != "" || len([]rune(got)) != 12 {
		t.Errorf("of nothing: %q", got)
	}
	p.Minutes[0].Succeeded, p.Minutes[59].Succeeded, p.Minutes[30].DeadLettered = 1, 800, 400
	if got := blocks(p); got != "▁     ▄    █" {
		t.Errorf("%q", got)
	}
	if got := since(time.Time{}, time.Now()); got != "" {
		t.Errorf("%q", got)
	}
}

package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// full is a full disk, or a pipe that has lost its reader.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A command whose answer could not be written must not report success.
func TestAnswerThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seed(1)
	var said bytes.Buffer
	for _, args := range [][]string{{"block", number(1), "--job-id", "mine"}, {"block", number(2), "--job-id", "mine2", "--json"}} {
		if execute(t.Context(), args, f.env, strings.NewReader(""), full{}, &said); !strings.Contains(said.String(), "job mine") || !strings.Contains(said.String(), "accepted") {
			t.Errorf("what was accepted is not said: %s", &said)
		}
	}
	for _, args := range [][]string{
		{"block", number(1)},
		{"status", number(1)},
		{"list"},
		{"doctor"},
		{"version"},
		{"limits", "show"},
		{"reconcile"},
		{"dead-letter", "redrive", "--all"},
		{"dead-letter", "discard", "--all"},
	} {
		for _, args := range [][]string{args, append(args, "--json")} {
			var said bytes.Buffer
			if code := execute(t.Context(), args, f.env, strings.NewReader(""), full{}, &said); code != exitFailed || !strings.Contains(said.String(), "no space left") {
				t.Errorf("%v: exit code %d, %s", args, code, &said)
			}
		}
	}
}

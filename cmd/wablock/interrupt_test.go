package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// whenRead calls do at the first read, which never ends.
func whenRead(t *testing.T, do func()) io.Reader {
	t.Helper()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return readerFunc(func([]byte) (int, error) {
		do()
		<-end
		return 0, io.EOF
	})
}

func TestInterruptedWhileItReads(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, args := range [][]string{
		{"block", "--file", "-", "--json"}, {"block", number(1), "--file", "-"}, {"reconcile", "--apply", "--file", "-"}, {"dev", "--file", "-"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var out, err bytes.Buffer
			code := execute(ctx, args, f.env, whenRead(t, cancel), &out, &err)
			if code != exitInterrupted || out.Len() > 0 || !strings.Contains(err.String(), "interrupted") {
				t.Errorf("exit code %d, stdout %q, stderr %q", code, &out, &err)
			}
		})
	}
}

// watched calls do when text is written.
type watched struct {
	bytes.Buffer
	text string
	do   func()
}

func (w *watched) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.do()
	}
	return w.Buffer.Write(p)
}

func TestInterruptedDevPromisesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := &watched{text: "blocking the sample", do: cancel}
	code := execute(ctx, []string{"dev", "--http-addr", ""}, nil, strings.NewReader(""), io.Discard, err)
	if code != exitInterrupted || strings.Contains(err.String(), "goes on") || !strings.Contains(err.String(), "interrupted; nothing of it remains") {
		t.Errorf("exit code %d, stderr %s", code, err)
	}
}

func TestInterruptedListSaysNoMore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := f.wablockWith(ctx, "", "list").exits(exitInterrupted).says("wablock: interrupted\n")
	if strings.Contains(r.err, "repeated") {
		t.Errorf("stderr %q", r.err)
	}
}

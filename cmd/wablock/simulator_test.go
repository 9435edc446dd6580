package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestSimulator(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"simulator", "--addr", "127.0.0.1:0", "--json"}, f.env, strings.NewReader(""), w, io.Discard)
		_ = w.Close()
	}()
	var said struct{ URL string }
	if err := json.NewDecoder(r).Decode(&said); err != nil {
		t.Fatal(err)
	}
	f.env["WABLOCK_GRAPH_URL"] = said.URL
	f.wablock("list").exits(exitDone)
	cancel()
	if got := <-code; got != exitDone {
		t.Errorf("exit code %d after a signal", got)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
		t.Error("it still answers")
	}
}

func TestSimulatorRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.wablock("simulator", "--scenario", f.write("nonsense: 1\n")).exits(exitUsage).says("--scenario")
	f.wablock("simulator", "--addr", "nowhere").exits(exitUsage).says("--addr")
}

// An address that others reach is warned of.
func TestSimulatorOnAllInterfaces(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for addr, warns := range map[string]bool{"0.0.0.0:0": true, "127.0.0.1:0": false} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		var log strings.Builder
		code := make(chan int, 1)
		go func() {
			code <- execute(ctx, []string{"simulator", "--addr", addr, "--json"}, f.env, strings.NewReader(""), w, &log)
			_ = w.Close()
		}()
		var said struct{ URL string }
		err := json.NewDecoder(r).Decode(&said)
		cancel()
		if err != nil || <-code != exitDone {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "others can reach this address"); got != warns {
			t.Errorf("%s: warns %v: %s", addr, got, &log)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = "106540352242922"

// fixture is a Redis and an API, and the environment that leads to them.
type fixture struct {
	*testing.T
	env map[string]string
	rdb redis.UniversalClient
	sim *simulator.Simulator
}

func setup(t *testing.T) *fixture {
	t.Helper()
	mini, rdb := redistest.Mini(t)
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	return &fixture{t, map[string]string{
		"WABLOCK_REDIS_URL": "redis://" + mini.Addr(), "WABLOCK_GRAPH_URL": api.URL,
		"WABLOCK_ACCESS_TOKEN": "hunter2", "WABLOCK_PHONE_NUMBER_ID": phoneNumberID,
	}, rdb, sim}
}

// result holds the outcome of one run of the program.
type result struct {
	t        *testing.T
	code     int
	out, err string
}

// wablock runs the program in this process.
func (f *fixture) wablock(args ...string) result { return f.wablockWith(f.Context(), "", args...) }

func (f *fixture) wablockWith(ctx context.Context, stdin string, args ...string) result {
	f.Helper()
	var out, err bytes.Buffer
	code := execute(ctx, args, f.env, strings.NewReader(stdin), &out, &err)
	if strings.Contains(out.String()+err.String(), "hunter2") {
		f.Errorf("the token was printed:\n%s%s", &out, &err)
	}
	return result{f.T, code, out.String(), err.String()}
}

// until runs the program until it has said a text to people, and interrupts it then.
func (f *fixture) until(text string, args ...string) result {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	said := &listener{text: text, heard: cancel}
	code := execute(ctx, args, f.env, strings.NewReader(""), &out, said)
	return result{f.T, code, out.String(), said.String()}
}

// listener calls heard once text was written to it.
type listener struct {
	bytes.Buffer
	text  string
	heard func()
}

func (l *listener) Write(b []byte) (int, error) {
	n, err := l.Buffer.Write(b)
	if strings.Contains(l.String(), l.text) {
		l.heard()
	}
	return n, err
}

// without runs with a variable of the environment away.
func (f *fixture) without(name string) *fixture {
	g := *f
	g.env = map[string]string{}
	for k, v := range f.env {
		if k != name {
			g.env[k] = v
		}
	}
	return &g
}

// with runs with another value in the environment.
func (f *fixture) with(name, value string) *fixture {
	g := f.without(name)
	g.env[name] = value
	return g
}

// exits fails the test when the code is another.
func (r result) exits(code int) result {
	r.t.Helper()
	if r.code != code {
		r.t.Fatalf("exit code %d, want %d\nstdout: %.2000s\nstderr: %.2000s", r.code, code, r.out, r.err)
	}
	return r
}

// says fails the test unless stderr holds each text.
func (r result) says(texts ...string) result {
	r.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.err, text) {
			r.t.Errorf("stderr says nothing of %q:\n%.2000s", text, r.err)
		}
	}
	return r
}

// objects decodes stdout, one JSON object a line.
func (r result) objects() []map[string]any {
	r.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(r.out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			r.t.Fatalf("no JSON object: %q", line)
		}
		all = append(all, o)
	}
	return all
}

func (r result) object() map[string]any {
	r.t.Helper()
	all := r.objects()
	if len(all) != 1 {
		r.t.Fatalf("%d objects, want one:\n%.2000s\n%.2000s", len(all), r.out, r.err)
	}
	return all[0]
}

func (f *fixture) write(text string) string {
	f.Helper()
	path := filepath.Join(f.TempDir(), "numbers.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
	return path
}

// number is a valid phone number for each n.
func number(n int) string { return fmt.Sprintf("+1650%07d", 2_000_000+n) }

// usersEnqueued counts the users that the ledger knows.
func (f *fixture) usersEnqueued() int {
	f.Helper()
	n, err := f.rdb.HLen(f.Context(), "wablock:{"+phoneNumberID+"}:users").Result()
	if err != nil {
		f.Fatal(err)
	}
	return int(n)
}

// worker settles everything that is asked for, as a worker would, until the test ends: users
// in failing die, the others succeed.
func (f *fixture) worker(failing ...string) {
	f.Helper()
	dead := map[string]bool{}
	for _, n := range failing {
		dead[n] = true
	}
	l := ledger.New(f.rdb, f.env["WABLOCK_PHONE_NUMBER_ID"])
	queue := deadletter.New(f.rdb)
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := work(ctx, l, queue, fmt.Sprintf("claim-%d", i), dead); err != nil && ctx.Err() == nil {
				f.Errorf("worker: %v", err)
				return
			}
		}
	}()
	f.Cleanup(func() { cancel(); <-done })
}

func work(ctx context.Context, l *ledger.Ledger, queue *deadletter.Queue, id string, dead map[string]bool) error {
	c, err := l.Claim(ctx, ledger.ClaimOptions{ID: id, Max: ledger.MaxBatch, Timeout: time.Minute})
	if err != nil || len(c.Users) == 0 {
		return err
	}
	var died []user.ID
	settlements := make([]ledger.Settlement, len(c.Users))
	for i, u := range c.Users {
		settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: u.User.Reveal()[1:]}
		if dead[u.User.Reveal()] {
			settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: &ledger.Failure{
				Code: 131047, Message: "Re-engagement message", Details: "more than 24 hours", FBTraceID: "Atrace",
			}}
			died = append(died, u.User)
		}
	}
	if _, err := l.Settle(ctx, id, settlements); err != nil || len(died) == 0 {
		return err
	}
	entries, err := l.Entries(ctx, died)
	if err != nil {
		return err
	}
	letters := make([]deadletter.Letter, len(entries))
	for i, e := range entries {
		letters[i] = deadletter.Of(l.PhoneNumberID(), e)
	}
	return queue.Put(ctx, letters...)
}

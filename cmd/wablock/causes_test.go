package main

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/web"
)

// TestStoppedCallsAreExplained plants each cause for which calls stop, with a real worker, API and Redis behind it: the first
// line of the overview page names it with the next step, and so do `top` and `doctor`.
func TestStoppedCallsAreExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario simulator.Scenario
		idle     bool     // no worker runs
		before   []string // a command, run before the users are asked for
		full     bool     // Redis
		cause    string
		page     []string // what the first notice says, and the top of `top`
		doctor   []string
	}{
		"token": {
			scenario: simulator.Scenario{Tokens: []simulator.Token{{Token: "another"}}},
			cause:    "halted",
			page:     []string{"The API refuses all calls: 190", "since ", "5 users wait", "The next trial is in", "WABLOCK_ACCESS_TOKEN"},
			doctor:   []string{"halted since", "code 190", "WABLOCK_ACCESS_TOKEN"},
		},
		"list": {
			scenario: simulator.Scenario{Blocking: simulator.Blocking{Capacity: 1}},
			cause:    "list_full",
			page:     []string{"The blocklist is full", "blocks wait, since", "Unblock users", "dead-letter redrive --code 139101"},
			doctor:   []string{"the blocklist is full since", "unblock users"},
		},
		"pause": {
			before: []string{"pause", "--reason", "wrong file", "--by", "ben"},
			cause:  "paused",
			page:   []string{"Calls are paused since", "by ben: wrong file", "5 users wait", "wablock resume --phone-number-id " + phoneNumberID},
			doctor: []string{"wrong file", "wablock resume"},
		},
		"pin": {
			before: []string{"limits", "pin", "0.01", "--by", "ben"},
			cause:  "pinned",
			page:   []string{"The rate is pinned at 0.01/s by an operator (ben", "users wait", "It will take about", "wablock limits release --phone-number-id " + phoneNumberID},
			doctor: []string{"pinned at 0.01 calls a second", "wablock limits release"},
		},
		"outage": {
			scenario: simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectHTML}}},
			cause:    "outage",
			page:     []string{"The API fails all calls", "5 users wait", "The next trial is in", "metastatus.com"},
			doctor:   []string{"outage since", "the API fails all calls"},
		},
		"rate": {
			scenario: simulator.Scenario{Limits: []simulator.Limit{{Calls: 1, Window: simulator.Duration(24 * time.Hour)}}},
			cause:    "rate_limit",
			page:     []string{"The API's rate limit is used up: no call goes before", "users wait", "which other program calls"},
			doctor:   []string{"the API has refused calls for their rate", "what else calls with this account"},
		},
		"no worker": {
			idle:   true,
			cause:  "no_worker",
			page:   []string{"No worker is running", "5 users wait", "Start wablock worker"},
			doctor: []string{"none is running", "start one with `wablock worker`"},
		},
		"Redis full": {
			full:   true,
			cause:  "redis_full",
			page:   []string{"Redis is full: it takes no new requests", "CONFIG SET maxmemory", "noeviction"},
			doctor: []string{"it is full", "raise maxmemory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			if c.full {
				server := redistest.Start(t)
				f.rdb = redis.NewClient(&redis.Options{Addr: server.Addr})
				t.Cleanup(func() { _ = f.rdb.Close() })
				f = f.with("WABLOCK_REDIS_URL", "redis://"+server.Addr)
			}
			if err := f.sim.SetScenario(c.scenario); err != nil {
				t.Fatal(err)
			}
			page := f.page()
			if c.before != nil {
				f.wablock(c.before...).exits(exitDone)
			}
			if !c.idle {
				f.realWorker("--max-users-per-call", "1", "--rate", "20", "--burst", "1")
			}
			f.wablock(append([]string{"block"}, span(0, 5)...)...).exits(exitDone)
			if c.full {
				f.rdb.ConfigSet(t.Context(), "maxmemory", "1mb")
			}
			var first string
			defer func() {
				if t.Failed() {
					t.Logf("the page's first notice: %s", first)
				}
			}()
			f.await(func() bool {
				first = page()
				return containsAll(first, c.page...)
			})
			if o := f.wablock("top", "--json").exits(exitDone).object(); o["attention"].([]any)[0].(map[string]any)["cause"] != c.cause {
				t.Errorf("top --json: %v, want %s first", o["attention"], c.cause)
			}
			top := strings.SplitN(strings.ReplaceAll(f.wablock("top").exits(exitDone).out, "`", ""), "\n", 5)
			if notice := strings.Join(top[2:4], "\n"); !containsAll(notice, c.page...) {
				t.Errorf("top: %s", notice)
			}
			if out := f.wablock("doctor").out; !containsAll(out, c.doctor...) {
				t.Errorf("doctor:\n%s", out)
			}
		})
	}
}

// page returns a function that reads the overview page as it is served by a process that makes no calls, and returns its first
// notice as people read it.
func (f *fixture) page() func() string {
	f.Helper()
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := f.env[name]; return v, ok }})
	if err != nil {
		f.Fatal(err)
	}
	reader := app.NewOverview(cfg, f.rdb, "")
	handler, err := web.New(web.Config{Redis: f.rdb, Overview: reader})
	if err != nil {
		f.Fatal(err)
	}
	return func() string {
		reader.Refresh()
		r := httptest.NewRequestWithContext(f.Context(), "GET", "http://127.0.0.1/", nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		_, attention, found := strings.Cut(w.Body.String(), `id="attention"`)
		notice, _, closed := strings.Cut(attention, "</li>")
		if !found || !closed && w.Code == http.StatusOK {
			return ""
		}
		return html.UnescapeString(tags.ReplaceAllString(notice, ""))
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// realWorker runs a worker in this process until the test ends.
func (f *fixture) realWorker(flags ...string) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	done := make(chan result)
	go func() { done <- f.wablockWith(ctx, "", append([]string{"worker", "--http-addr", ""}, flags...)...) }()
	f.Cleanup(func() {
		cancel()
		r := <-done
		if f.Failed() {
			f.Logf("the worker: %.4000s", r.err)
		}
	})
}

func containsAll(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

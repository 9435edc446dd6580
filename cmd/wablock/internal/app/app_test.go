package app

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
)

const phoneNumberID = "106540352242922"

// load returns a configuration for phoneNumberID with some variables set besides.
func load(t *testing.T, env map[string]string) *config.Config {
	t.Helper()
	all := map[string]string{"WABLOCK_ACCESS_TOKEN": "hunter2", "WABLOCK_PHONE_NUMBER_ID": phoneNumberID}
	maps.Copy(all, env)
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := all[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestMetricsKnowConfiguredNumbers, so that others can't take their series.
func TestMetricsKnowConfiguredNumbers(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	a, err := New(load(t, map[string]string{"WABLOCK_HTTP_ADDR": ""}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var m *metrics.Metrics
	a.Tune = func(_ *worker.Config, made *metrics.Metrics) { m = made }
	if _, err := a.Service(t.Context(), rdb); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		m.Kept(fmt.Sprint(999_000+i), 1, 0)
	}
	m.Kept(phoneNumberID, 1, 0)
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, family := range families {
		if family.GetName() == "wablock_ledger_repaired_users_total" {
			for _, series := range family.GetMetric() {
				ids = append(ids, series.GetLabel()[1].GetValue()) // after the action
			}
		}
	}
	if !slices.Contains(ids, phoneNumberID) {
		t.Errorf("%s has no series of its own among %d", phoneNumberID, len(ids))
	}
}

// TestAdvice: where no dead letter came of an error there is nothing to redrive.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for _, r := range client.Rules() {
		if help := Advice(&client.APIError{Code: r.Code}, config.Credential{}); help == "" || strings.Contains(strings.ToLower(help), "redrive") {
			t.Errorf("%d: %q", r.Code, help)
		}
	}
}

// TestAdviceNamesTheToken: a token is renewed where it came from.
func TestAdviceNamesTheToken(t *testing.T) {
	t.Parallel()
	expired := &client.APIError{Code: 190}
	file := filepath.Join(t.TempDir(), "token")
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cfg := load(t, map[string]string{"WABLOCK_ACCESS_TOKEN": "", "WABLOCK_ACCESS_TOKEN_FILE": file})
	if help := Advice(expired, cfg.AccessToken); !strings.Contains(help, file+" on "+machine) || strings.Contains(help, "TOKEN_FILE") {
		t.Errorf("of a file: %s", help)
	}
	cfg = load(t, nil)
	if help := Advice(expired, cfg.AccessToken); !strings.Contains(help, "WABLOCK_ACCESS_TOKEN, and restart") || strings.Contains(help, "TOKEN_FILE") {
		t.Errorf("of a variable: %s", help)
	}
	account := &client.APIError{Code: 100, Message: "(#100) Tried accessing nonexisting field (block_users) on node type (WhatsAppBusinessAccount)"}
	if help := Advice(account, cfg.AccessToken); !strings.Contains(help, "WABA") || !strings.Contains(help, "phone number ID") {
		t.Errorf("of a WABA ID: %s", help)
	}
}

// TestWorkerAdviceNamesTheToken: each phone number's worker sends people to that number's own token.
func TestWorkerAdviceNamesTheToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, shared, settings := filepath.Join(dir, "own"), filepath.Join(dir, "shared"), filepath.Join(dir, "wablock.yaml")
	for path, content := range map[string]string{
		own: "one", shared: "two",
		settings: "phone_numbers:\n  - id: \"1\"\n    access_token_file: " + own + "\n  - id: \"2\"\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"WABLOCK_ACCESS_TOKEN_FILE": shared}
	cfg, err := config.Load(config.Input{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }, File: settings})
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNumbers(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	expired, down := &client.APIError{Code: 190}, &client.APIError{Code: 2}
	for id, path := range map[string]string{"1": own, "2": shared, "3": shared} {
		p, ok := n.resolve(id)
		if !ok {
			t.Fatalf("%s is not served", id)
		}
		if help := p.Advice(expired, client.Classify(expired).Help); !strings.Contains(help, path+" on ") || strings.Contains(help, "TOKEN_FILE") {
			t.Errorf("%s: %s", id, help)
		}
		if help := p.Advice(down, client.Classify(down).Help); help == "" || strings.Contains(help, "redrive") {
			t.Errorf("%s: %s", id, help)
		}
	}
}

// TestFullRedis: a worker starts on a Redis that takes no more writes, to drain it.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	if err := rdb.Set(t.Context(), "x", "y", 0).Err(); err == nil {
		t.Fatal("Redis takes writes")
	}
	a, err := New(load(t, map[string]string{"WABLOCK_HTTP_ADDR": ""}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Service(t.Context(), rdb); err != nil {
		t.Error(err)
	}
}

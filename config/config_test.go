package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/config"
)

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func writeFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wablock.yaml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, in config.Input) *config.Config {
	t.Helper()
	cfg, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Input{})
	got := fmt.Sprint(cfg.Redis, cfg.GraphURL, cfg.GraphVersion, cfg.Rate, cfg.Burst, cfg.MaxUsersPerCall, cfg.MaxAttempts,
		cfg.RequestTimeout, cfg.Concurrency, cfg.ShutdownTimeout, cfg.HTTPAddr, cfg.LogLevel, cfg.LogFormat, cfg.PhoneNumbers, cfg.Warnings)
	want := fmt.Sprint("redis://127.0.0.1:6379/0", "https://graph.facebook.com", "v25.0", 20.0, 5, 1000, 12,
		30*time.Second, 0, 25*time.Second, "127.0.0.1:8080", slog.LevelInfo, "", []config.PhoneNumber(nil), []string(nil))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !cfg.AccessToken.IsZero() || !cfg.AppSecret.IsZero() || !cfg.HTTPToken.IsZero() {
		t.Error("a secret out of nowhere")
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "rate: 1\nburst: 2\nmax_attempts: 3\n", 0o600)
	cfg := load(t, config.Input{
		Flags:     map[string]string{"rate": "10"},
		LookupEnv: env("WABLOCK_RATE=20", "WABLOCK_BURST=21", "WABLOCK_MAX_USERS_PER_CALL="),
		File:      path,
	})
	if cfg.Rate != 10 || cfg.Burst != 21 || cfg.MaxAttempts != 3 || cfg.MaxUsersPerCall != 1000 {
		t.Errorf("rate %v by flag, burst %v by environment, attempts %v by file, users %v by default",
			cfg.Rate, cfg.Burst, cfg.MaxAttempts, cfg.MaxUsersPerCall)
	}
}

func TestEmptyTurnsHTTPOff(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]config.Input{
		"environment": {LookupEnv: env("WABLOCK_HTTP_ADDR=")},
		"flag":        {Flags: map[string]string{"http-addr": ""}},
		"file":        {File: writeFile(t, "http_addr: ''\n", 0o600)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if cfg := load(t, in); cfg.HTTPAddr != "" {
				t.Errorf("still %q", cfg.HTTPAddr)
			}
		})
	}
}

func TestHTTPAddressOthersCanReachNeedsToken(t *testing.T) {
	t.Parallel()
	for addr, free := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.0.1:0": true, "[::1]:80": true, "localhost:1": true, "LOCALHOST:1": true, "[::ffff:127.0.0.1]:1": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:80": false, "10.0.0.1:1": false, "localhost.example:1": false, "example.com:80": false,
	} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Input{LookupEnv: env("WABLOCK_HTTP_ADDR=" + addr)})
			if (err == nil) != free {
				t.Errorf("without a token: %v", err)
			}
			_, err = config.Load(config.Input{LookupEnv: env("WABLOCK_HTTP_ADDR="+addr, "WABLOCK_HTTP_TOKEN=0123456789abcdef")})
			if err != nil {
				t.Errorf("with a token: %v", err)
			}
		})
	}
}

func TestWrongValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ variable, value, want string }{
		{"WABLOCK_RATE", "fast", `"fast"`},
		{"WABLOCK_RATE", "0", "from 0.01"},
		{"WABLOCK_RATE", "-1", "from 0.01"},
		{"WABLOCK_RATE", "0.0099", "from 0.01"}, // the limiter would go faster
		{"WABLOCK_RATE", "NaN", "from 0.01"},
		{"WABLOCK_RATE", "Inf", "from 0.01"},
		{"WABLOCK_BURST", "1.5", "whole number"},
		{"WABLOCK_BURST", "0", "from 1"},
		{"WABLOCK_MAX_USERS_PER_CALL", "1001", "1 to 1000"},
		{"WABLOCK_MAX_USERS_PER_CALL", "0", "1 to 1000"},
		{"WABLOCK_MAX_ATTEMPTS", "0", "1 to 1000"},
		{"WABLOCK_REQUEST_TIMEOUT", "30", "needs its unit"},
		{"WABLOCK_REQUEST_TIMEOUT", "0s", "above zero"},
		{"WABLOCK_REQUEST_TIMEOUT", "soon", "such as 30s"},
		{"WABLOCK_SHUTDOWN_TIMEOUT", "-1s", "such as 25s"},
		{"WABLOCK_PARK_CLOSED_WINDOWS", "1", "true or false"},
		{"WABLOCK_CONCURRENCY", "many", "whole number"},
		{"WABLOCK_JOB_RETENTION", "30", "needs its unit"},
		{"WABLOCK_JOB_RETENTION", "59m", "from 1h"},
		{"WABLOCK_JOB_RETENTION", "366d", "to 365d"},
		{"WABLOCK_MAX_JOBS", "999", "from 1000"},
		{"WABLOCK_NAME_RETENTION", "59m", "from 1h"},
		{"WABLOCK_MAX_NAMES", "999", "from 1000"},
		{"WABLOCK_HTTP_ADDR", "8080", "host:port"},
		{"WABLOCK_HTTP_ADDR", "127.0.0.1:99999", "host:port"},
		{"WABLOCK_LOG_LEVEL", "loud", "debug, info, warn or error"},
		{"WABLOCK_LOG_FORMAT", "xml", "text or json"},
		{"WABLOCK_GRAPH_URL", "graph.facebook.com", "https://graph.facebook.com"},
		{"WABLOCK_GRAPH_URL", "ftp://graph.facebook.com", "https://graph.facebook.com"},
		{"WABLOCK_GRAPH_URL", "http://127.0.0.1:65536", "https://graph.facebook.com"},
		{"WABLOCK_GRAPH_URL", "http://graph.facebook.com", "unencrypted"},
		{"WABLOCK_GRAPH_URL", "http://Facebook.com.:80/x", "unencrypted"},
		{"WABLOCK_DEFAULT_COUNTRY", "Mars", "such as US"},
		{"WABLOCK_GRAPH_VERSION", "25", "v25.0"},
		{"WABLOCK_PHONE_NUMBER_ID", "abc", "digits"},
		{"WABLOCK_PHONE_NUMBER_ID", "+16505551234", "not the phone number itself"},
		{"WABLOCK_REDIS_URL", "127.0.0.1:6379", "must start with redis://"},
		{"WABLOCK_ACCESS_TOKEN", "two words", "without spaces"},
	} {
		t.Run(c.variable+"="+c.value, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Input{LookupEnv: env(c.variable + "=" + c.value)})
			value, isValue := errors.AsType[*config.ValueError](err)
			if !isValue || value.Variable != c.variable || value.Origin != "the environment" {
				t.Fatalf("got %v", err)
			}
			if text := err.Error(); !strings.Contains(text, c.want) || !strings.Contains(text, c.variable) {
				t.Errorf("%q says nothing of %q", text, c.want)
			}
			if strings.Contains(err.Error(), "6505551234") {
				t.Errorf("a phone number in %q", err)
			}
		})
	}
}

func TestEveryWrongSettingIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Input{
		Flags:     map[string]string{"rate": "x"},
		LookupEnv: env("WABLOCK_BURST=y"),
		File:      writeFile(t, "max_attempts: z\nlog_level: loud\nratee: 5\n", 0o600),
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"--rate", "the environment", "line 1 of", "line 2 of", "ratee", "line 3 of"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %q in:\n%v", want, err)
		}
	}
}

func TestEnvironmentOfEverySetting(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Input{LookupEnv: env(
		"WABLOCK_REDIS_URL=redis://u:p@redis:1234/3", "WABLOCK_GRAPH_URL=http://127.0.0.1:9/base/", "WABLOCK_GRAPH_VERSION=v26.0",
		"WABLOCK_ACCESS_TOKEN=tok", "WABLOCK_APP_SECRET=sec", "WABLOCK_PHONE_NUMBER_ID=106540352242922",
		"WABLOCK_RATE=0.5", "WABLOCK_BURST=7", "WABLOCK_MAX_USERS_PER_CALL=8", "WABLOCK_MAX_ATTEMPTS=9", "WABLOCK_REQUEST_TIMEOUT=10s",
		"WABLOCK_CONCURRENCY=11", "WABLOCK_SHUTDOWN_TIMEOUT=12s", "WABLOCK_HTTP_ADDR=:0", "WABLOCK_HTTP_TOKEN=http-http-http-http", "WABLOCK_DEFAULT_COUNTRY=+49",
		"WABLOCK_LOG_LEVEL=DEBUG", "WABLOCK_LOG_FORMAT=json")})
	got := fmt.Sprint(cfg.Redis, cfg.GraphURL, cfg.GraphVersion, cfg.PhoneNumberID, cfg.Rate, cfg.Burst, cfg.MaxUsersPerCall, cfg.MaxAttempts,
		cfg.RequestTimeout, cfg.Concurrency, cfg.ShutdownTimeout, cfg.HTTPAddr, cfg.LogLevel, cfg.LogFormat, cfg.DefaultCountry)
	want := fmt.Sprint("redis://***@redis:1234/3", "http://127.0.0.1:9/base", "v26.0", "106540352242922", 0.5, 7, 8, 9,
		10*time.Second, 11, 12*time.Second, ":0", slog.LevelDebug, "json", "DE")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	token, err := cfg.AccessToken.Source()
	if err != nil || token.Get().Reveal() != "tok" {
		t.Errorf("access token: %v", err)
	}
	appSecret, err := cfg.AppSecretSource()
	if err != nil || appSecret.Get().Reveal() != "sec" {
		t.Errorf("app secret: %v", err)
	}
	http, err := cfg.HTTPTokenValue()
	if err != nil || http.Reveal() != "http-http-http-http" {
		t.Errorf("HTTP token: %v", err)
	}
	if o := cfg.Redis.Options(); o.Password != "p" || o.Username != "u" || o.DB != 3 {
		t.Errorf("Redis options %q %q %d", o.Username, o.Password, o.DB)
	}
}

func TestShortHTTPTokenIsForLoopbackAlone(t *testing.T) {
	t.Parallel()
	const short = "0123456"
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(short), 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, allowed := range map[string]bool{"127.0.0.1:8080": true, "[::1]:1": true, "": true, "0.0.0.0:8080": false, ":8080": false, "10.0.0.1:1": false} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			_, inline := load(t, config.Input{LookupEnv: env("WABLOCK_HTTP_ADDR="+addr, "WABLOCK_HTTP_TOKEN="+short)}).HTTPTokenValue()
			_, ofFile := load(t, config.Input{LookupEnv: env("WABLOCK_HTTP_ADDR="+addr, "WABLOCK_HTTP_TOKEN_FILE="+path)}).HTTPTokenValue()
			for name, err := range map[string]error{"WABLOCK_HTTP_TOKEN": inline, path: ofFile} {
				switch {
				case (err == nil) != allowed:
					t.Errorf("%s: %v", name, err)
				case err != nil && (strings.Contains(err.Error(), short) || !strings.Contains(err.Error(), name)):
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestUnencryptedGraphURLIsWarnedOf(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]int{
		"http://proxy.example:8080/graph": 1, "http://10.0.0.1": 1, "https://proxy.example": 0, "http://127.0.0.1:9": 0, "http://localhost": 0, "http://[::1]:9": 0,
	} {
		cfg := load(t, config.Input{LookupEnv: env("WABLOCK_GRAPH_URL=" + url)})
		if len(cfg.Warnings) != want || want > 0 && !strings.Contains(cfg.Warnings[0], "unencrypted") {
			t.Errorf("%s: %q", url, cfg.Warnings)
		}
	}
}

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wablock/wablock/config"
)

func writeInto(t interface{ Fatal(...any) }, dir, text string) string {
	path := filepath.Join(dir, "wablock.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSettingsAreThoseOfTheContract keeps names and defaults, which may never change.
func TestSettingsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"WABLOCK_REDIS_URL": "redis://127.0.0.1:6379/0", "WABLOCK_GRAPH_URL": "https://graph.facebook.com", "WABLOCK_GRAPH_VERSION": "v25.0",
		"WABLOCK_ACCESS_TOKEN": "", "WABLOCK_ACCESS_TOKEN_FILE": "", "WABLOCK_APP_SECRET": "", "WABLOCK_APP_SECRET_FILE": "",
		"WABLOCK_PHONE_NUMBER_ID": "", "WABLOCK_RATE": "20", "WABLOCK_BURST": "5", "WABLOCK_MAX_USERS_PER_CALL": "1000", "WABLOCK_MAX_ATTEMPTS": "12", "WABLOCK_PARK_CLOSED_WINDOWS": "false",
		"WABLOCK_REQUEST_TIMEOUT": "30s", "WABLOCK_CONCURRENCY": "chosen by the worker", "WABLOCK_SHUTDOWN_TIMEOUT": "25s",
		"WABLOCK_DEFAULT_COUNTRY": "", "WABLOCK_HTTP_ADDR": "127.0.0.1:8080", "WABLOCK_HTTP_TOKEN": "", "WABLOCK_HTTP_TOKEN_FILE": "",
		"WABLOCK_HTTP_TOKENS_FILE": "", "WABLOCK_HTTP_READONLY": "false", "WABLOCK_WEBHOOK_VERIFY_TOKEN": "", "WABLOCK_WEBHOOK_VERIFY_TOKEN_FILE": "",
		"WABLOCK_JOB_RETENTION": "30d", "WABLOCK_MAX_JOBS": "100000", "WABLOCK_NAME_RETENTION": "30d", "WABLOCK_MAX_NAMES": "200000",
		"WABLOCK_LOG_LEVEL": "info", "WABLOCK_LOG_FORMAT": "`text` on a terminal else `json`",
	}
	keys, flags := map[string]bool{}, map[string]bool{}
	for _, s := range config.Settings() {
		if d, ok := want[s.Variable]; !ok || d != s.Default {
			t.Errorf("%s has the default %q, want %q", s.Variable, s.Default, d)
		}
		delete(want, s.Variable)
		if s.Meaning == "" || s.Allowed == "" {
			t.Errorf("%s is not explained", s.Variable)
		}
		if keys[s.Key()] || s.Flag != "" && flags[s.Flag] {
			t.Errorf("%s shares its key or flag with another", s.Variable)
		}
		keys[s.Key()], flags[s.Flag] = true, true
		if s.Secret && s.Flag != "" {
			t.Errorf("%s could be given as a flag, which every user of the machine can see", s.Variable)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// TestEverySettingCanStandInTheFile gives each a wrong value by its key, and none may pass.
func TestEverySettingCanStandInTheFile(t *testing.T) {
	t.Parallel()
	for _, s := range config.Settings() {
		t.Run(s.Key(), func(t *testing.T) {
			t.Parallel()
			text := s.Key() + `: "wrong value"`
			if strings.HasSuffix(s.Key(), "_file") {
				text = s.Key() + `: ""`
			}
			_, err := config.Load(config.Input{File: writeFile(t, text, 0o600)})
			if err == nil || !strings.Contains(err.Error(), s.Variable) || !strings.Contains(err.Error(), "line 1 of") {
				t.Errorf("got %v", err)
			}
		})
	}
}

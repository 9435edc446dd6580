package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wablock/wablock/config"
)

func TestSecretAndItsFileContradict(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"WABLOCK_ACCESS_TOKEN", "WABLOCK_APP_SECRET", "WABLOCK_HTTP_TOKEN"} {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(config.Input{LookupEnv: env(v+"=hunter2", v+"_FILE=/run/secrets/x")})
			if err == nil || !strings.Contains(err.Error(), v+" and "+v+"_FILE") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretOfAStrongerPlaceWins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("of-the-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, config.Input{
		Flags:     map[string]string{"access-token-file": path},
		LookupEnv: env("WABLOCK_ACCESS_TOKEN=of-the-environment"),
	})
	s, err := cfg.AccessToken.Source()
	if err != nil || s.Get().Reveal() != "of-the-file" {
		t.Errorf("got %q, %v", s.Get().Reveal(), err)
	}
}

func TestSourceOfNothing(t *testing.T) {
	t.Parallel()
	cfg := load(t, config.Input{})
	_, err := cfg.AccessToken.Source()
	if !errors.Is(err, config.ErrUnset) || !strings.Contains(err.Error(), "WABLOCK_ACCESS_TOKEN or WABLOCK_ACCESS_TOKEN_FILE") {
		t.Errorf("got %v", err)
	}
	if s, err := cfg.AppSecretSource(); s != nil || err != nil {
		t.Errorf("app secret: %v, %v", s, err)
	}
	if s, err := cfg.HTTPTokenValue(); !s.IsZero() || err != nil {
		t.Errorf("HTTP token: %v", err)
	}
}

func TestMissingSecretFileSaysWhich(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none")
	cfg := load(t, config.Input{LookupEnv: env("WABLOCK_ACCESS_TOKEN_FILE=" + path)})
	_, err := cfg.AccessToken.Source()
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "WABLOCK_ACCESS_TOKEN_FILE") {
		t.Errorf("got %v", err)
	}
}

func TestTokenInPlaceOfItsFile(t *testing.T) {
	t.Parallel()
	token := "EAAG" + strings.Repeat("x7Zq", 40)
	for name, in := range map[string]config.Input{
		"environment": {LookupEnv: env("WABLOCK_ACCESS_TOKEN_FILE=" + token)},
		"flag":        {Flags: map[string]string{"access-token-file": token}},
		"file":        {File: writeFile(t, "access_token_file: "+token, 0o600)},
		"list's file": {File: writeFile(t, "phone_numbers: [{id: 1, access_token_file: "+token+"}]", 0o600)},
		"list's env":  {File: writeFile(t, "phone_numbers: [{id: 1, access_token_env: "+token+"}]", 0o600)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(in)
			if err == nil || strings.Contains(err.Error(), "x7Zqx7Zq") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWidePermissionsAreWarnedOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("tok"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, config.Input{LookupEnv: env("WABLOCK_ACCESS_TOKEN_FILE="+path, "WABLOCK_PHONE_NUMBER_ID=1")})
	if len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "chmod 600") || !strings.Contains(cfg.Warnings[0], path) {
		t.Errorf("got %q", cfg.Warnings)
	}
	for mode, want := range map[os.FileMode]int{0o400: 0, 0o600: 0, 0o440: 0, 0o640: 0, 0o660: 1, 0o604: 1, 0o602: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if cfg = load(t, config.Input{LookupEnv: env("WABLOCK_ACCESS_TOKEN_FILE=" + path)}); len(cfg.Warnings) != want {
			t.Errorf("%o: got %q", mode, cfg.Warnings)
		}
	}
	for text, want := range map[string]int{"access_token: tok": 1, "redis_url: redis://:p@h": 1, "rate: 3": 0} {
		if cfg = load(t, config.Input{File: writeFile(t, text, 0o644)}); len(cfg.Warnings) != want {
			t.Errorf("%s: got %q", text, cfg.Warnings)
		}
	}
}

func TestSecretsOfEveryFormInPlaceOfTheirFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for secret, hidden := range map[string]bool{
		"0123456789abcdef0123456789abcdef":          true, // an app secret
		"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ/ab=":      true, // openssl rand -base64
		"/83vEjRWeJCrze8SNFZ4kKvN7xI0Vni+":          true,
		"ab/83vEjRWeJCrze8SNFZ4kKvN7xI0Vni":         true,
		"EAAGm0PX4ZCpsBAKhunter2hunter2":            true,
		"correct-horse-battery-staple":              true,
		"http_token":                                false,
		"/run/secrets/wablock/none/access_token":    false,
		"secrets.d/access_token_of_the_first.txt":   false,
		dir + "/none":                               false,
		dir + "/q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQab": false,
		"./0123456789abcdef0123456789abcdef":        false,
	} {
		t.Run(secret, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(config.Input{LookupEnv: env("WABLOCK_APP_SECRET_FILE=" + secret)})
			if err == nil {
				_, err = cfg.AppSecretSource()
			}
			if err == nil || strings.Contains(err.Error(), secret) == hidden || !strings.Contains(err.Error(), "WABLOCK_APP_SECRET_FILE") {
				t.Errorf("got %v", err)
			}
		})
	}
}

package access_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/worker/web/access"
)

// file writes a file of tokens, and returns its path.
func file(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, lines...)
	return path
}

func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, cfg access.Config) *access.Control {
	t.Helper()
	c, err := access.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// admit asks with a bearer token.
func admit(t *testing.T, c *access.Control, token string) (access.Caller, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return c.Admit(r)
}

func TestNamedTokens(t *testing.T) {
	t.Parallel()
	c := open(t, access.Config{
		Token: secret.New("one-for-all"),
		File:  file(t, "# moderation", "", "shop write shop-token", "\tgrafana   read  grafana-token\r", "ops@example.com admin ops-token"),
	})
	for token, want := range map[string]access.Caller{
		"one-for-all":   {Name: "token", Scope: access.Admin},
		"shop-token":    {Name: "shop", Scope: access.Write},
		"grafana-token": {Name: "grafana", Scope: access.Read},
		"ops-token":     {Name: "ops@example.com", Scope: access.Admin},
		"":              {}, "shop": {}, "shop-toke": {}, "shop-tokens": {}, "# moderation": {},
	} {
		got, err := admit(t, c, token)
		if got != want || (want.Scope == 0) != errors.Is(err, access.ErrToken) {
			t.Errorf("%q: got %v, %v", token, got, err)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	open := func(cfg access.Config) *access.Control { return open(t, cfg) }
	all := []access.Scope{access.Read, access.Write, access.Admin}
	for _, has := range all {
		for _, needs := range all {
			caller := access.Caller{Name: "x", Scope: has}
			if err := open(access.Config{}).Allow(caller, needs); (err == nil) != (has >= needs) || err != nil && !errors.Is(err, access.ErrScope) {
				t.Errorf("%v for %v: %v", has, needs, err)
			}
			if err := open(access.Config{ReadOnly: true}).Allow(caller, needs); (err == nil) != (needs == access.Read) {
				t.Errorf("read only, %v for %v: %v", has, needs, err)
			}
		}
	}
}

// TestWrongFiles: no error shows a token.
func TestWrongFiles(t *testing.T) {
	t.Parallel()
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprintf("n%d read hunter2-%d", i, i)
	}
	for want, lines := range map[string][]string{
		"line 1 has 2 words":               {"shop hunter2xx"},
		"line 2 has 4 words":               {"# x", "shop read hunter2xx hunter2xx"},
		"line 1 has a scope that is none":  {"shop hunter2xx read"},
		"line 1 has a name that is not":    {"hunter2xx:x read hunter2xx"},
		"line 3 has the name of line 1":    {"shop read hunter2xx", "", "shop write hunter2yy"},
		"line 2 has the token of line 1":   {"shop read hunter2xx", "web write hunter2xx"},
		"line 1 has a token that can be g": {"shop read hunter2"},
		"no HTTP header carries":           {"shop read hunter2ö€"},
		"it has no token":                  {"# hunter2xx"},
		"the file is empty":                {""},
		"more than 1000 tokens":            many,
	} {
		_, err := access.Open(access.Config{File: file(t, lines...), Shortest: 8})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "WABLOCK_HTTP_TOKENS_FILE") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	if _, err := access.Open(access.Config{File: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestRotation: a change counts within a second or two, and one that can't be used does not lock out.
func TestRotation(t *testing.T) {
	t.Parallel()
	path := file(t, "shop read first")
	synctest.Test(t, func(t *testing.T) {
		c := open(t, access.Config{File: path})
		steps := []struct {
			text, opens string
			scope       access.Scope
			closed      string
		}{
			{"shop read first", "first", access.Read, "second"},
			{"shop write second", "second", access.Write, "first"},
			{"shop write", "second", access.Write, "third"},
			{"", "second", access.Write, "third"},
			{"shop admin third", "third", access.Admin, "second"},
		}
		for _, s := range steps {
			write(t, path, s.text)
			<-time.After(1100 * time.Millisecond)
			if got, err := admit(t, c, s.opens); err != nil || got.Scope != s.scope {
				t.Errorf("%q: %q is %v, %v", s.text, s.opens, got, err)
			}
			if got, err := admit(t, c, s.closed); err == nil {
				t.Errorf("%q: %q opens as %v", s.text, s.closed, got)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if _, err := admit(t, c, "third"); err != nil {
			t.Errorf("without its file: %v", err)
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("shop read token\n# x\nweb admin other")
	f.Add("\ufeffshop\tread\ttoken\r\n")
	path := filepath.Join(f.TempDir(), "tokens")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := access.Open(access.Config{File: path})
		if err != nil {
			return
		}
		if got, err := admit(t, c, ""); err == nil {
			t.Fatalf("no token opens it as %v", got)
		}
	})
}

package source_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/worker/reconcile/source"
)

func TestFileSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.csv")
	for name, c := range map[string]struct {
		text     string
		users    int
		rejected int
		fails    bool
	}{
		"numbers":                       {text: "phone\n+16502000001\n+1 650 200 0001\n+16502000002\n", users: 2},
		"a bad one":                     {text: "+16502000001\n+1650\n", users: 1, rejected: 1},
		"a header that names no column": {text: "Blocked customers\n+16502000001\n", users: 1},
		"empty":                         {text: "", fails: true},
		"a header":                      {text: "phone\n", fails: true},
		"binary":                        {text: "PK\x03\x04", fails: true},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := source.File(path, numbers.Options{}).Read(t.Context())
		if len(d.Users) != c.users || len(d.Rejected) != c.rejected || (err != nil) != c.fails || err != nil && !errors.Is(err, source.ErrUnusable) {
			t.Errorf("%s: %d users, %d rejected, %v", name, len(d.Users), len(d.Rejected), err)
		}
	}
	missing := path + ".not"
	if _, err := source.File(missing, numbers.Options{}).Read(t.Context()); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, source.ErrUnusable) || !strings.Contains(err.Error(), filepath.Base(missing)) {
		t.Errorf("no file: %v", err)
	}
}

// TestFileSourceTooLong gives a list that no blocklist could hold.
func TestFileSourceTooLong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.csv")
	text := "+16502000001\n" + strings.Repeat("-\n", source.MaxUsers)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := source.File(path, numbers.Options{}).Read(t.Context()); !errors.Is(err, source.ErrUnusable) || !strings.Contains(err.Error(), "64000") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(path, []byte(text[:len(text)-len("-\n")]), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := source.File(path, numbers.Options{}).Read(t.Context()); err != nil || len(list.Users) != 1 {
		t.Errorf("%d users, %v", len(list.Users), err)
	}
}

// TestFileSourcePipe has a pipe that no writer opens: waiting for one could not be canceled.
func TestFileSourcePipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := source.File(path, numbers.Options{}).Read(t.Context()); !errors.Is(err, source.ErrUnusable) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("%v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ledger": "ledger", "https://user:key@example.com/list?token=key": "https://example.com/…", "http://127.0.0.1:1/x": "http://127.0.0.1:1/…",
		"list.csv": "list.csv", "http://example.com/": "", "ftp://example.com/": "", "https://": "", "": "", "https://%zz": "",
	} {
		s, err := source.Parse(in, numbers.Options{})
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "key") {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		if err != nil || s.Name() != want {
			t.Errorf("%q: %v, %v", in, s, err)
		}
	}
}

const list = "phone\n+16502000001\n+16502000002\n"

func TestURLSource(t *testing.T) {
	t.Parallel()
	plain := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			_, _ = w.Write([]byte(text))
		}
	}
	hijacked := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = conn.Write([]byte(answer))
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		fails   string // "" for success
	}{
		"a list": {plain(list), ""},
		"chunked": {func(w http.ResponseWriter, r *http.Request) {
			plain(list)(w, r)
			_ = http.NewResponseController(w).Flush()
		}, ""},
		"500":             {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, list, http.StatusInternalServerError) }, "500"},
		"204":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "204"},
		"304 out of turn": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "304"},
		"nothing":         {plain(""), "no phone number"},
		"a login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(list))
		}, "text/html"},
		"half a body":   {hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\n" + list), "unexpected EOF"},
		"half a chunk":  {hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + list), "unexpected EOF"},
		"no last chunk": {hijacked(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(list), list)), "unexpected EOF"},
		"no length":     {hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nConnection: close\r\n\r\n" + list), "Content-Length"},
		"too long":      {hijacked("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 99999999999\r\n\r\n" + list), "MiB"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			for line := strings.Repeat("# comment\n", 10_000); ; {
				if _, err := w.Write([]byte(line)); err != nil {
					return
				}
			}
		}, "MiB"},
		"to plain http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.com/list", http.StatusFound)
		}, "https"},
		"round in circle": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			s, err := source.URL(srv.URL+"/secret?key=secret", numbers.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.Read(t.Context())
			if c.fails == "" {
				if err != nil || len(d.Users) != 2 {
					t.Errorf("%d users, %v", len(d.Users), err)
				}
				return
			}
			if !errors.Is(err, source.ErrUnusable) || len(d.Users) > 0 || !strings.Contains(err.Error(), c.fails) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%d users, %v", len(d.Users), err)
			}
		})
	}
}

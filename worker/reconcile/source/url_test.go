package source_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/worker/reconcile/source"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestURLSourceGzip has compressed answers, whole and cut. One that is made of several parts can
// be cut between two, where nothing inside it shows that there was more.
func TestURLSourceGzip(t *testing.T) {
	t.Parallel()
	first, second := gzipped(t, list), gzipped(t, "+16502000003\n")
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n", n) }
	for name, c := range map[string]struct {
		answer string
		users  int // 0 for an error
	}{
		"whole":                              {head + length(len(first)) + first, 2},
		"two parts":                          {head + length(len(first+second)) + first + second, 3},
		"cut between parts":                  {head + length(len(first+second)) + first, 0},
		"cut in a part":                      {head + length(len(first)) + first[:len(first)-9], 0},
		"cut between parts, no length":       {head + "\r\n" + first, 0},
		"chunked":                            {head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(first), first), 2},
		"chunked, cut between parts":         {head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(first), first), 0},
		"an encoding that was not asked for": {strings.Replace(head, "gzip", "br", 1) + length(len(first)) + first, 0},
		"compressed, and not saying so":      {strings.Replace(head, "Content-Encoding: gzip\r\n", "", 1) + length(len(first)) + first, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write([]byte(c.answer))
				_ = conn.Close()
			}))
			defer srv.Close()
			s, err := source.URL(srv.URL, numbers.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d, err := s.Read(t.Context())
			if len(d.Users) != c.users || (err == nil) != (c.users > 0) || err != nil && !errors.Is(err, source.ErrUnusable) {
				t.Errorf("%d users, %v", len(d.Users), err)
			}
		})
	}
}

// TestURLSourceRedirect redirects to another host, which must not see the first URL: its path
// and query may hold a key.
func TestURLSourceRedirect(t *testing.T) {
	t.Parallel()
	var got http.Header
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = w.Write([]byte(list))
	}))
	defer to.Close()
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(to.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	}))
	defer from.Close()
	s, err := source.URL(strings.Replace(from.URL, "//", "//user:password@", 1)+"/path?key=secret", numbers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Read(t.Context())
	if err != nil || len(d.Users) != 2 {
		t.Fatalf("%d users, %v", len(d.Users), err)
	}
	if got.Get("Referer") != "" || got.Get("Authorization") != "" || got.Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", got)
	}
}

// TestFileSourceWhileWritten reads a file that another program is still writing.
func TestFileSourceWhileWritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers.csv")
	var lines []string
	for n := range 2_000 {
		lines = append(lines, fmt.Sprintf("+1650%07d", 2_000_000+n))
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	begun, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() { // what a writer leaves on the file, without making it longer
		defer close(done)
		for i := range int64(1 << 40) {
			select {
			case <-stop:
				return
			default:
			}
			if err := os.Chtimes(path, time.Unix(i, 0), time.Unix(i, 0)); err != nil {
				t.Error(err)
			}
			if i == 0 {
				close(begun)
			}
		}
	}()
	<-begun
	d, err := source.File(path, numbers.Options{}).Read(t.Context())
	close(stop)
	<-done
	if !errors.Is(err, source.ErrUnusable) || len(d.Users) > 0 || !strings.Contains(err.Error(), "rename") {
		t.Errorf("%d users, %v", len(d.Users), err)
	}
	if d, err := source.File(path, numbers.Options{}).Read(t.Context()); err != nil || len(d.Users) != 2_000 {
		t.Errorf("once it is whole: %d users, %v", len(d.Users), err)
	}
}

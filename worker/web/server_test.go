package web_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/worker/web"
)

// serve runs a server; stop ends it, and gives what Run returned.
func serve(t *testing.T, h http.Handler) (addr string, stop func() error) {
	t.Helper()
	s, err := web.Listen("127.0.0.1:0", h, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return s.Addr().String(), func() error {
		cancel()
		return <-ended
	}
}

func TestServerLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	addr, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		_, _ = io.WriteString(w, "done")
	}))
	body := make(chan string, 1)
	go func() {
		b, err := fetch(t.Context(), addr)
		body <- b + errorText(err)
	}()
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	await(t, func() bool { // until new connections are refused
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(answer)
	if got := <-body; got != "done" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestListenOnATakenAddress(t *testing.T) {
	t.Parallel()
	addr, stop := serve(t, http.NotFoundHandler())
	_, err := web.Listen(addr, http.NotFoundHandler(), nil)
	if err == nil || !strings.Contains(err.Error(), "WABLOCK_HTTP_ADDR") {
		t.Errorf("Listen = %v; want what to do about it", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	s, err := web.Listen(addr, http.NotFoundHandler(), nil)
	if err != nil {
		t.Fatalf("the address is still taken after the stop: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

// Clients that hold many connections open and send no request neither shut others out nor keep
// their connections: whether they send nothing, half a request, or nothing more after an answer.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"silent": "", "half a request": "GET / HTTP/1.1\r\nHost: localhost\r\n", "between requests": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }))
			var idle []net.Conn
			for range 300 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				_, _ = io.WriteString(c, says)
				idle = append(idle, c)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the timeout of a Kubernetes probe
			defer cancel()
			if got, err := fetch(ctx, addr); got != "done" {
				t.Errorf("another client got %q, %v", got, err)
			}
			for _, c := range idle {
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
					t.Fatalf("an idle connection is kept: %v", err)
				}
			}
		})
	}
}

func TestLongHeaders(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, http.NotFoundHandler())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil { // the server may hang up while the client still writes
		return
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: %d", res.StatusCode)
	}
}

func fetch(ctx context.Context, addr string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return "", err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Only authorized clients keep their connections.
func TestUnauthorizedConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, setup(t, withToken).handler)
	for path, header := range map[string]string{"/healthz": "", "/readyz": "", "/monitor/": "", "/metrics": "Bearer guess", "/": "Bearer " + token} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if known := strings.HasSuffix(header, token); res.Close == known {
			t.Errorf("%s with %q: closes %v", path, header, res.Close)
		}
	}
}

package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
)

func TestUnreadableAnswers(t *testing.T) {
	t.Parallel()
	big := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"x":"`)
		for range 9 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, refBlocked)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"empty":            {reply(200, ""), "status 200 with an empty body"},
		"blank":            {reply(200, " \n"), "an empty body"},
		"page":             {reply(502, "<html>+16505551234</html>"), "status 502 with a page of HTML or XML (25 bytes)"},
		"text":             {reply(503, "upstream +16505551234 failed"), "28 bytes that are not JSON"},
		"truncated":        {reply(200, refBlocked[:100]), "JSON cut off after 100 bytes"},
		"broken":           {reply(200, `{"a" 1}`), "broken JSON (7 bytes, wrong at byte 6)"},
		"two values":       {reply(200, `{}{}`), "broken JSON"},
		"list":             {reply(200, `[]`), "JSON that is not an object"},
		"string":           {reply(200, `"+16505551234"`), "JSON that is not an object"},
		"null":             {reply(200, `null`), "JSON that is not an object"},
		"another object":   {reply(200, `{"success":true}`), "JSON that has neither block_users nor error"},
		"list of users":    {reply(200, `{"block_users":[]}`), "status 200"},
		"error null":       {reply(400, `{"error":null}`), "neither block_users nor error"},
		"redirect":         {reply(302, "", "Location", "https://evil.example/"), "status 302 with a redirect"},
		"large":            {big, "a body of more than 8 MiB"},
		"connection broke": {cut, "a body cut off after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tt.handler)
			result, err := c.Block(t.Context(), phoneNumberID, many(t, 2))
			if name == "list of users" { // an empty object as PHP may write it
				if err != nil || result.Outcomes[0].State != client.Unknown {
					t.Errorf("got %v, %v", result, err)
				}
				return
			}
			if _, ok := errors.AsType[*client.ResponseError](err); !ok || result != nil {
				t.Fatalf("got %v, %v", result, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "6505551234") {
				t.Errorf("got %v", err)
			}
			if r := client.Classify(err); r.Remedy != client.Retry {
				t.Errorf("classified as %+v", r)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
		t.Cleanup(other.Close)
		c := newClient(t, reply(status, "", "Location", other.URL))
		if _, err := c.Block(t.Context(), phoneNumberID, many(t, 1)); err == nil {
			t.Error("no error")
		}
		if _, err := c.ListPage(t.Context(), phoneNumberID, client.ListOptions{}); err == nil {
			t.Error("no error")
		}
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(nil)
	srv.Close()
	c, err := client.New(srv.URL, "v25.0", secret.Static(secret.New(token)), client.WithAppSecret(secret.Static(secret.New("s"))))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Block(t.Context(), phoneNumberID, many(t, 1))
	if _, ok := errors.AsType[*client.TransportError](err); !ok {
		t.Fatalf("got %v", err)
	}
	for _, bad := range []string{"http://", "proof", phoneNumberID} {
		if strings.Contains(err.Error(), bad) {
			t.Errorf("%v shows %q", err, bad)
		}
	}
	if !strings.Contains(err.Error(), strings.TrimPrefix(srv.URL, "http://")) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v does not help", err)
	}
}

// pipes is a listener within the process, whose connections do not stop a bubble's clock.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newPipeClient is newClient for a bubble.
func newPipeClient(t *testing.T, h http.HandlerFunc, opts ...client.Option) *client.Client {
	t.Helper()
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	srv := &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = srv.Serve(p) }()
	tr := client.NewTransport()
	tr.Proxy = nil
	tr.DialContext = p.dial
	c, err := client.New("http://graph.example", "v25.0", secret.Static(secret.New(token)), append(opts, client.WithTransport(tr))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		tr.CloseIdleConnections()
		_ = srv.Close()
	})
	return c
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangInBody := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, refBlocked[:50])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for name, h := range map[string]http.HandlerFunc{"no answer": hang, "half an answer": hangInBody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPipeClient(t, h, client.WithTimeout(10*time.Second))
				start := time.Now()
				_, err := c.Block(t.Context(), phoneNumberID, many(t, 1))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				if e, ok := errors.AsType[*client.TransportError](err); !ok || !e.Timeout() || err.Error() != "client: no answer: timeout" {
					t.Errorf("%v is not a timeout", err)
				}
				if r := client.Classify(err); r.Remedy != client.Retry || !r.UsesAttempt {
					t.Errorf("classified as %+v", r)
				}
			})
		})
		t.Run(name+", given up", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newPipeClient(t, h)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Second, cancel)
				start := time.Now()
				_, err := c.Block(ctx, phoneNumberID, many(t, 1))
				if !errors.Is(err, context.Canceled) || time.Since(start) != 3*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				if r := client.Classify(err); r.Remedy != client.Retry || r.UsesAttempt {
					t.Errorf("classified as %+v", r)
				}
			})
		})
	}
}

// TestOneRequestPerCall holds the client against its promise never to try again.
func TestOneRequestPerCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var requests int
		drop := func(w http.ResponseWriter, r *http.Request) {
			requests++
			_, _ = io.Copy(io.Discard, r.Body)
			if requests == 2 {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, refBlocked)
		}
		c := newPipeClient(t, drop)
		if _, err := c.Unblock(t.Context(), phoneNumberID, many(t, 1)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Unblock(t.Context(), phoneNumberID, many(t, 1)) // on the connection of before
		if _, ok := errors.AsType[*client.TransportError](err); !ok || requests != 2 {
			t.Errorf("%v after %d requests", err, requests)
		}
	})
}

func TestOtherVersionIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{"v26.0": 1, "v25.0": 0, "": 0} {
		var logged bytes.Buffer
		c := newClient(t, reply(200, refBlocked, "facebook-api-version", version),
			client.WithLogger(slog.New(slog.NewTextHandler(&logged, nil))))
		for range 3 {
			if _, err := c.Block(t.Context(), phoneNumberID, many(t, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(logged.String(), "answered="+version); got != want && version != "" || version == "" && logged.Len() > 0 {
			t.Errorf("%q: warned %d times: %s", version, got, &logged)
		}
	}
}

func TestTokenIsReadForEachCall(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/token"
	write(t, path, "one")
	source, err := secret.File(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"data":[]}`)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "v25.0", source)
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []string{"two", "three"} {
		if err := c.Check(t.Context(), phoneNumberID); err != nil {
			t.Fatal(err)
		}
		write(t, path, next)
		if _, err := source.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(got) != "[Bearer one Bearer two]" {
		t.Error(got)
	}
}

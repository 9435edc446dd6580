package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/worker/web/webhook"
)

const (
	appSecret   = "0123456789abcdef0123456789abcdef"
	verifyToken = "verify-me"
)

// receiver is a handler that keeps what it takes.
type receiver struct {
	http.Handler
	log bytes.Buffer

	mu     sync.Mutex
	events []webhook.Event
	counts map[string]int
	fail   error
}

func (r *receiver) WebhookEvents(kind string, n int) { r.count(kind, n) }
func (r *receiver) WebhookRequest(outcome string)    { r.count(outcome, 1) }

func (r *receiver) count(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] += n
}

func newReceiver(t testing.TB, change ...func(*webhook.Config)) *receiver {
	t.Helper()
	r := &receiver{counts: map[string]int{}}
	cfg := webhook.Config{
		Secrets: secret.Static(secret.New(appSecret)), VerifyToken: secret.Static(secret.New(verifyToken)), Metrics: r,
		Serves: func(_ context.Context, id string) (bool, error) { return id == phoneNumberID, nil },
		Consumers: []webhook.Consumer{func(_ context.Context, events []webhook.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, events...)
			return r.fail
		}},
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if r.Handler, err = webhook.New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// post sends a body with a signature, and returns the status.
func (r *receiver) post(t testing.TB, body io.Reader, signature string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, webhook.Path, body)
	if signature != "" {
		q.Header.Set("X-Hub-Signature-256", signature)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for name, tt := range map[string]struct {
		query  string
		status int
		body   string
	}{
		"right":          {"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me", http.StatusOK, "1158201444"},
		"another token":  {"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-m", http.StatusForbidden, ""},
		"no token":       {"hub.mode=subscribe&hub.challenge=1158201444", http.StatusForbidden, ""},
		"no mode":        {"hub.challenge=1158201444&hub.verify_token=verify-me", http.StatusForbidden, ""},
		"no challenge":   {"hub.mode=subscribe&hub.verify_token=verify-me", http.StatusForbidden, ""},
		"markup":         {"hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=" + url.QueryEscape("<script>"), http.StatusForbidden, ""},
		"long challenge": {"hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=" + strings.Repeat("1", 129), http.StatusForbidden, ""},
		"nothing":        {"", http.StatusForbidden, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, webhook.Path+"?"+tt.query, nil))
			if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body || strings.Contains(w.Body.String(), "<") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if tt.status == http.StatusOK && !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				t.Error(w.Header())
			}
		})
	}
}

// TestSignatures: what counts is the signature of the bytes as they were sent.
func TestSignatures(t *testing.T) {
	t.Parallel()
	good := envelope("messages", one("text"))
	escaped := envelope("messages", strings.ReplaceAll(one("text"), "Ana", `An\u00e4`))
	huge := good[:len(good)-1] + `,"x":"` + strings.Repeat("x", 4001*1024-len(good)-8) + `"}`
	for name, tt := range map[string]struct {
		body, signature string
		status, events  int
		headers         []string
	}{
		"right":              {good, sign(appSecret, good), http.StatusOK, 1, nil},
		"upper case":         {good, "sha256=" + strings.ToUpper(sign(appSecret, good)[7:]), http.StatusOK, 1, nil},
		"escaped":            {escaped, sign(appSecret, escaped), http.StatusOK, 1, nil},
		"another type":       {good, sign(appSecret, good), http.StatusOK, 1, []string{"Content-Type: text/plain"}},
		"4,001 KB":           {huge, sign(appSecret, huge), http.StatusOK, 1, nil},
		"missing":            {good, "", http.StatusUnauthorized, 0, nil},
		"wrong":              {good, sign("another", good), http.StatusUnauthorized, 0, nil},
		"short":              {good, sign(appSecret, good)[:70], http.StatusUnauthorized, 0, nil},
		"no scheme":          {good, sign(appSecret, good)[7:], http.StatusUnauthorized, 0, nil},
		"SHA-1":              {good, "sha1=" + sign(appSecret, good)[7:47], http.StatusUnauthorized, 0, nil},
		"not hex":            {good, "sha256=" + strings.Repeat("x", 64), http.StatusUnauthorized, 0, nil},
		"of another body":    {good + " ", sign(appSecret, good), http.StatusUnauthorized, 0, nil},
		"truncated, signed":  {good[:90], sign(appSecret, good[:90]), http.StatusOK, 0, nil},
		"empty, signed":      {"", sign(appSecret, ""), http.StatusOK, 0, nil},
		"compressed":         {good, sign(appSecret, good), http.StatusUnsupportedMediaType, 0, []string{"Content-Encoding: gzip"}},
		"too large":          {strings.Repeat(" ", webhook.MaxBody+1), sign(appSecret, ""), http.StatusRequestEntityTooLarge, 0, nil},
		"another number":     {strings.ReplaceAll(good, phoneNumberID, "1"), sign(appSecret, strings.ReplaceAll(good, phoneNumberID, "1")), http.StatusOK, 0, nil},
		"the token's secret": {good, sign(verifyToken, good), http.StatusUnauthorized, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			w := r.post(t, strings.NewReader(tt.body), tt.signature, tt.headers...)
			if w.Code != tt.status || len(r.events) != tt.events {
				t.Errorf("%d %s, %d events", w.Code, w.Body, len(r.events))
			}
			if text := r.log.String() + w.Body.String(); strings.Contains(text, "2025550101") || strings.Contains(text, appSecret) {
				t.Errorf("it shows too much: %s", text)
			}
		})
	}
}

// TestBounds: bodies without a length, cut off, other methods, and Redis away.
func TestBounds(t *testing.T) {
	t.Parallel()
	good := envelope("messages", one("text"))
	r := newReceiver(t)
	unbounded := struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", webhook.MaxBody+1))} // of no known length
	if w := r.post(t, unbounded, sign(appSecret, "")); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("without a length: %d", w.Code)
	}
	cut := io.MultiReader(strings.NewReader(good[:50]), errReader{})
	if w := r.post(t, cut, sign(appSecret, good)); w.Code != http.StatusBadRequest {
		t.Errorf("cut off: %d", w.Code)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, webhook.Path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST" {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	r.fail = errors.New("redis is down")
	if w := r.post(t, strings.NewReader(good), sign(appSecret, good)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("Redis down: %d %v", w.Code, w.Header())
	}
	r.fail = nil
	if w := r.post(t, strings.NewReader(good), sign(appSecret, good)); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("again: %d %s", w.Code, w.Body)
	}
	if r.counts["unavailable"] != 1 || r.counts["taken"] != 1 || r.counts["message"] != 1 {
		t.Error(r.counts)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestFlood: more than can be taken at once are sent away, and the rest is served.
func TestFlood(t *testing.T) {
	t.Parallel()
	good := envelope("messages", one("text"))
	entered, release := make(chan struct{}, 1000), make(chan struct{})
	r := newReceiver(t, func(c *webhook.Config) {
		c.Consumers = []webhook.Consumer{func(context.Context, []webhook.Event) error {
			entered <- struct{}{}
			<-release
			return nil
		}}
	})
	statuses := make(chan int, 300)
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() { statuses <- r.post(t, strings.NewReader(good), sign(appSecret, good)).Code })
	}
	for range 256 {
		<-entered
	}
	if w := r.post(t, strings.NewReader(good), sign(appSecret, good)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one too many: %d", w.Code)
	}
	close(release)
	wg.Wait()
	close(statuses)
	for s := range statuses {
		if s != http.StatusOK {
			t.Fatalf("a webhook that was taken: %d", s)
		}
	}
}

// TestRotation: a file of several secrets, read again when a signature fails.
func TestRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app_secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\nsecond\n")
	secrets, err := secret.Lines(path)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, func(c *webhook.Config) { c.Secrets = secrets })
	body := envelope("messages", one("text"))
	for _, key := range []string{"first", "second"} {
		if w := r.post(t, strings.NewReader(body), sign(key, body)); w.Code != http.StatusOK {
			t.Errorf("%s: %d", key, w.Code)
		}
	}
	write("third\n")
	for key, status := range map[string]int{"third": http.StatusOK} {
		if w := r.post(t, strings.NewReader(body), sign(key, body)); w.Code != status {
			t.Errorf("%s: %d", key, w.Code)
		}
	}
	if w := r.post(t, strings.NewReader(body), sign("first", body)); w.Code != http.StatusUnauthorized {
		t.Errorf("the old one: %d", w.Code)
	}
}

func ExampleNew() {
	h, err := webhook.New(webhook.Config{
		Secrets: secret.Static(secret.New(appSecret)), VerifyToken: secret.Static(secret.New(verifyToken)),
		Consumers: []webhook.Consumer{func(_ context.Context, events []webhook.Event) error {
			for _, e := range events {
				fmt.Println(e.Kind, e.At.UTC().Format(time.RFC3339))
			}
			return nil
		}},
	})
	if err != nil {
		return
	}
	body := envelope("messages", one("text"))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, webhook.Path, strings.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", sign(appSecret, body))
	h.ServeHTTP(httptest.NewRecorder(), r)
	// Output: message 2026-11-25T09:46:40Z
}

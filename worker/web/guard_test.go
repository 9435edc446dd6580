package web_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/worker/web"
	"github.com/wablock/wablock/worker/web/access"
)

const token = "s3cret-token"

func withToken(c *web.Config) {
	c.Access, _ = access.Open(access.Config{Token: secret.New(token)}) // fails over a file alone
	c.Gatherer = prometheus.NewRegistry()
}

func basic(password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ops:"+password))
}

func TestToken(t *testing.T) {
	t.Parallel()
	f := setup(t, withToken)
	cases := map[string]struct {
		header string
		opens  bool
	}{
		"none":              {"X-Nothing: 1", false},
		"bearer":            {"Authorization: Bearer " + token, true},
		"bearer, any case":  {"Authorization: bearer " + token, true},
		"basic":             {basic(token), true},
		"wrong bearer":      {"Authorization: Bearer " + token + "x", false},
		"start of it":       {"Authorization: Bearer " + token[:5], false},
		"empty bearer":      {"Authorization: Bearer ", false},
		"wrong basic":       {basic("guess"), false},
		"empty basic":       {basic(""), false},
		"broken basic":      {"Authorization: Basic !!!", false},
		"other scheme":      {"Authorization: Digest " + token, false},
		"token as the name": {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(token+":")), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/", "/metrics", "/monitor/", "/monitor/api/queues", "/monitor/static/js/none.js", "/nowhere"} {
				got := f.do(http.MethodGet, path, "", c.header)
				if (got.status != http.StatusUnauthorized) != c.opens {
					t.Errorf("GET %s = %d", path, got.status)
				}
				if !c.opens && !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Basic ") {
					t.Errorf("GET %s does not ask for basic auth, so browsers can't answer", path)
				}
				if strings.Contains(got.body, token) {
					t.Errorf("GET %s shows the token", path)
				}
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				if got := f.do(http.MethodGet, path, "", c.header); got.status != http.StatusOK {
					t.Errorf("GET %s = %d: it stands open", path, got.status)
				}
			}
		})
	}
}

// With a token, any host may be named: the token is what keeps others out.
func TestHost(t *testing.T) {
	t.Parallel()
	open, closed := setup(t), setup(t, withToken)
	for host, local := range map[string]bool{
		"localhost":                 true,
		"localhost:8080":            true,
		"LocalHost.:80":             true,
		"wablock.localhost":         true,
		"127.0.0.1:8080":            true,
		"127.8.9.10":                true,
		"[::1]:8080":                true,
		"[::1]":                     true,
		"[::ffff:127.0.0.1]:80":     true,
		"":                          false,
		"evil.example":              false,
		"evil.example:8080":         false,
		"localhost.evil.example":    false,
		"127.0.0.1.evil.example:80": false,
		"10.0.0.5:8080":             false,
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			got := open.do(http.MethodGet, "/monitor/", "", "Host: "+host)
			if (got.status == http.StatusOK) != local {
				t.Errorf("without a token: %d", got.status)
			}
			got = closed.do(http.MethodGet, "/monitor/", "", "Host: "+host, "Authorization: Bearer "+token)
			if got.status != http.StatusOK {
				t.Errorf("with the token: %d", got.status)
			}
			if got := open.do(http.MethodGet, "/healthz", "", "Host: "+host); got.status != http.StatusOK {
				t.Errorf("/healthz: %d", got.status)
			}
		})
	}
}

func TestCrossSite(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		headers []string
		allowed bool
	}{
		"same origin, by Sec-Fetch-Site": {[]string{"Sec-Fetch-Site: same-origin"}, true},
		"same origin, by Origin":         {[]string{"Origin: http://localhost:8080"}, true},
		"no browser":                     {nil, true},
		"another site":                   {[]string{"Sec-Fetch-Site: cross-site"}, false},
		"another port":                   {[]string{"Sec-Fetch-Site: same-site", "Origin: http://localhost:9090"}, false},
		"another site, old browser":      {[]string{"Origin: https://evil.example"}, false},
		"a sandboxed frame":              {[]string{"Origin: null"}, false},
		"a form": {[]string{
			"Origin: https://evil.example", "Content-Type: application/x-www-form-urlencoded",
		}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []struct{ method, path string }{
				{http.MethodPost, "/monitor/api/queues/dead-letter/scheduled_tasks/stray:run"},
				{http.MethodDelete, "/monitor/api/queues/dead-letter/scheduled_tasks/stray"},
			} {
				f := setup(t)
				f.enqueue("x", "", asynq.Queue("dead-letter"), asynq.TaskID("stray"), asynq.ProcessIn(time.Hour))
				got := f.do(r.method, r.path, "", c.headers...)
				if (got.status < 300) != c.allowed {
					t.Errorf("%s %s = %d %s", r.method, r.path, got.status, got.body)
				}
				info, err := f.inspector.GetQueueInfo("dead-letter")
				if err != nil || (info.Scheduled == 0) != c.allowed {
					t.Errorf("the queue is %+v, %v", info, err)
				}
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *web.Config) { c.Gatherer = prometheus.NewRegistry() })
	for _, path := range []string{
		"/", "/healthz", "/readyz", "/metrics", "/monitor/", "/monitor/queues/bulk", "/monitor/api/queues", "/nowhere",
		"/monitor/static/js/none.js",
	} {
		got := f.get(path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		csp := got.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy %q has no %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "script-src 'unsafe-inline'") || strings.Contains(csp, "http") {
			t.Errorf("%s: the policy %q lets too much in", path, csp)
		}
	}
}

func TestRequestIsBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	// No path reads a body, so that none can fill the memory.
	for _, path := range []string{"/monitor/api/queues/bulk/retry_tasks:batch_run", "/monitor/api/queues/dead-letter/scheduled_tasks/x:run", "/readyz"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, iotest.ErrReader(errors.New("the body was read")))
		r.Host = "localhost"
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, r)
		if w.Code < 400 || strings.Contains(w.Body.String(), "was read") {
			t.Errorf("POST %s = %d %s", path, w.Code, w.Body)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodOptions, http.MethodTrace} {
		for _, path := range []string{"/", "/monitor/", "/monitor/api/queues", "/healthz"} {
			if got := f.do(method, path, ""); got.status < 400 {
				t.Errorf("%s %s = %d", method, path, got.status)
			}
		}
	}
}

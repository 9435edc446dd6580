package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/web"
)

func TestReady(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err    error
		status int
		body   string
	}{
		"ready":     {nil, 200, `{"ready":true}` + "\n"},
		"not ready": {errors.New("the API refuses the access token"), 503, `{"ready":false,"reason":"the API refuses the access token"}` + "\n"},
		"a number in the reason": {
			errors.New("refused for +16505551234"), 503, `{"ready":false,"reason":"refused for …"}` + "\n",
		},
		"a phone number ID in the reason": {
			errors.New("the API refuses phone number ID 106540352242922: asked for +16505551234"), 503,
			`{"ready":false,"reason":"the API refuses phone number ID 106540352242922: asked for …"}` + "\n",
		},
		"a token in the reason": {
			errors.New("Malformed access token EAAGm0PX4ZCpsBAexampleexample"), 503, `{"ready":false,"reason":"Malformed access token …"}` + "\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, func(cfg *web.Config) { cfg.Ready = func(context.Context) error { return c.err } })
			got := f.get("/readyz")
			if diff := cmp.Diff(c.body, got.body); diff != "" || got.status != c.status {
				t.Errorf("GET /readyz = %d (-want +got):\n%s", got.status, diff)
			}
			page := f.get("/")
			if ready := strings.Contains(page.body, "<b>Ready</b>"); page.status != 200 || ready != (c.err == nil) {
				t.Errorf("GET / = %d, shows ready: %v", page.status, ready)
			}
			if strings.Contains(page.body, "16505551234") {
				t.Error("GET / shows a number")
			}
		})
	}
}

// A worker that is ready may still have phone number IDs that can't work: all are named.
func TestReadyNamesProblems(t *testing.T) {
	t.Parallel()
	f := setup(t, func(cfg *web.Config) {
		cfg.Problems = func() []string {
			return []string{"the API refuses phone number ID 106540352242922: token", "the API refuses phone number ID 106540352242933: +16505551234"}
		}
	})
	got := f.get("/readyz")
	want := `{"ready":true,"problems":["the API refuses phone number ID 106540352242922: token","the API refuses phone number ID 106540352242933: …"]}` + "\n"
	if diff := cmp.Diff(want, got.body); diff != "" || got.status != http.StatusOK {
		t.Errorf("GET /readyz = %d (-want +got):\n%s", got.status, diff)
	}
	page := f.get("/")
	for _, text := range []string{"<b>Ready</b>", "106540352242922", "106540352242933"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page has no %s", text)
		}
	}
}

// Times and commands of a reason can be read and copied; a number in it can't.
func TestReadyKeepsTimesAndCommands(t *testing.T) {
	t.Parallel()
	const text = "phone number ID 106540352242955: calls to block are paused since 2026-11-26T18:59:35Z by ben: %s; until `wablock resume --phone-number-id 106540352242955`"
	f := setup(t, func(cfg *web.Config) {
		cfg.Problems = func() []string { return []string{fmt.Sprintf(text, "see 2026-11-26 16505551234")} }
	})
	var got struct{ Problems []string }
	if err := json.Unmarshal([]byte(f.get("/readyz").body), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf(text, "see …")}, got.Problems); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestProblemsAreSaidOnce: where the overview names what has stopped, the page doesn't repeat it as a problem of its worker.
func TestProblemsAreSaidOnce(t *testing.T) {
	t.Parallel()
	f := setup(t, func(cfg *web.Config) {
		cfg.Problems = func() []string { return []string{"calls are paused: wrong file"} }
	})
	if page := f.get("/").body; !strings.Contains(page, "Problem of this worker: calls are paused: wrong file") {
		t.Errorf("the overview knows nothing of it, and the page has no problem: %s", page)
	}
	if _, err := pause.Set(t.Context(), f.rdb, pause.Request{Reason: "wrong file", RequestedBy: "ben"}); err != nil {
		t.Fatal(err)
	}
	g := setupOn(t, f.rdb, func(cfg *web.Config) {
		cfg.Problems = func() []string { return []string{"calls are paused: wrong file"} }
	})
	if page := g.get("/").body; strings.Contains(page, "Problem of this worker") || !strings.Contains(page, "by ben: wrong file") {
		t.Errorf("said twice, or never: %s", page)
	}
}

func TestReadyAsksRedis(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	if got := setupOn(t, rdb).get("/readyz"); got.status != http.StatusOK {
		t.Errorf("with Redis: %d %s", got.status, got.body)
	}
	mini.SetError("LOADING Redis is loading the dataset in memory")
	if got := setupOn(t, rdb).get("/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "LOADING") {
		t.Errorf("without: %d %s", got.status, got.body)
	}
}

// Anyone may request /readyz, so it must neither keep Redis busy nor hang.
func TestReadyIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		idle := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // never called
		defer func() { _ = idle.Close() }()
		f := setupOn(t, idle, func(c *web.Config) {
			c.Ready = func(ctx context.Context) error {
				if asked.Add(1) == 3 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		})
		for range 100 {
			f.get("/readyz")
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times in no time; want 1", n)
		}
		<-time.After(time.Second)
		f.get("/readyz")
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times in a second; want 2", n)
		}
		<-time.After(time.Second)
		start := time.Now()
		if got := f.get("/readyz"); got.status != http.StatusServiceUnavailable || time.Since(start) != 3*time.Second {
			t.Errorf("a check that hangs: %d after %v", got.status, time.Since(start))
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1.2.3")
	m.Call("1", "block", "answered", 2, time.Second, "")
	f := setup(t, func(c *web.Config) { c.Gatherer = m.Registry() })
	got := f.get("/metrics")
	for _, want := range []string{`wablock_calls_total{operation="block",outcome="answered",phone_number_id="1"} 1`, "go_goroutines", "process_start_time_seconds"} {
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("GET /metrics = %d without %s", got.status, want)
		}
	}
	if got := setup(t).get("/metrics"); got.status != http.StatusNotFound {
		t.Errorf("without a Gatherer: %d", got.status)
	}
}

// One broken collector must not hide what the others know.
// TestMetricsForScrapers: a scraper that asks for protobuf gets native histograms beside the classic ones, and each format that has
// exemplars has that of the last traced call.
func TestMetricsForScrapers(t *testing.T) {
	t.Parallel()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	m := metrics.New("v1.2.3")
	m.Call(businessNumber, "block", "answered", 2, time.Second, trace)
	f := setup(t, func(cfg *web.Config) { cfg.Gatherer = m.Registry() })

	text := f.do(http.MethodGet, "/metrics", "", "Accept: application/openmetrics-text;version=1.0.0")
	if want := `wablock_call_duration_seconds_bucket{operation="block",le="1.0"} 1 # {trace_id="` + trace + `"} 1.0`; !strings.Contains(text.body, want) || !strings.HasSuffix(text.body, "# EOF\n") {
		t.Errorf("%s: nothing of %s in %.3000s", text.header.Get("Content-Type"), want, text.body)
	}

	binary := f.do(http.MethodGet, "/metrics", "", "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	decoder := expfmt.NewDecoder(strings.NewReader(binary.body), expfmt.ResponseFormat(binary.header))
	found := false
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", binary.header.Get("Content-Type"), err)
		}
		if family.GetName() != "wablock_call_duration_seconds" {
			continue
		}
		h := family.GetMetric()[0].GetHistogram()
		found = len(h.GetBucket()) == 12 && len(h.GetPositiveSpan()) == 1 && len(h.GetExemplars()) == 1 && h.GetExemplars()[0].GetLabel()[0].GetValue() == trace
		if !found {
			t.Errorf("the histogram is %v", h)
		}
	}
	if !found {
		t.Error("protobuf has no histogram of both kinds")
	}
	if plain := f.get("/metrics"); !strings.Contains(plain.body, `wablock_call_duration_seconds_bucket{operation="block",le="1"} 1`+"\n") {
		t.Errorf("as text: %.3000s", plain.body)
	}
}

func TestMetricsWithABrokenCollector(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	if err := m.Registry().Register(broken{}); err != nil {
		t.Fatal(err)
	}
	got := setup(t, func(c *web.Config) { c.Gatherer = m.Registry() }).get("/metrics")
	if got.status != http.StatusOK || !strings.Contains(got.body, "go_goroutines") {
		t.Errorf("GET /metrics = %d", got.status)
	}
}

type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}
func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), errors.New("broken"))
}

func TestNewWithoutRedis(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Config{}); err == nil || !strings.Contains(err.Error(), "Redis") {
		t.Fatalf("New = %v", err)
	}
}

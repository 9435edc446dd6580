package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/wablock/wablock/client/simulator"
)

// spans is an OTLP collector in the test's process.
type spans struct {
	*httptest.Server
	mu  sync.Mutex
	all []*tracepb.Span
	raw strings.Builder // everything as text, with the resources
}

func collect(t *testing.T) *spans {
	t.Helper()
	s := new(spans)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.raw.WriteString(request.String())
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				s.all = append(s.all, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// named returns the first span of a name and the value of one of its attributes.
func (s *spans) named(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.all {
		if span.GetName() == name {
			return span
		}
	}
	t.Fatalf("no span %q among %s", name, s.raw.String())
	return nil
}

func attribute(span *tracepb.Span, key string) string {
	for _, a := range span.GetAttributes() {
		if a.GetKey() == key {
			if s := a.GetValue().GetStringValue(); s != "" {
				return s
			}
			return fmt.Sprint(a.GetValue().GetIntValue())
		}
	}
	return ""
}

func links(from, to *tracepb.Span) bool {
	return slices.ContainsFunc(from.GetLinks(), func(l *tracepb.Span_Link) bool {
		return string(l.GetSpanId()) == string(to.GetSpanId()) && string(l.GetTraceId()) == string(to.GetTraceId())
	})
}

// TestTraces finds a request's task and call by the links of the spans that a collector gets.
func TestTraces(t *testing.T) {
	t.Parallel()
	to := collect(t)
	s := newSystem(t, simulator.Scenario{})
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+to.URL, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	w := s.worker("worker")
	s.want(0, s.run("block", "+16505551234", "--wait", "--job-id", "traced"))
	s.eventually("the task has ended, too", 20*time.Second, func() bool {
		n, err := s.rdb.LLen(t.Context(), "asynq:{interactive}:pending").Result()
		return err == nil && n == 0
	})
	w.stop()

	sent, run, call, request := to.named(t, "send interactive"), to.named(t, "process interactive"), to.named(t, "call block"), to.named(t, "POST /{version}/{phone-number-id}/block_users")
	if attribute(sent, "wablock.job_id") != "traced" || attribute(run, "wablock.job_id") != "traced" || sent.GetKind() != tracepb.Span_SPAN_KIND_PRODUCER || run.GetKind() != tracepb.Span_SPAN_KIND_CONSUMER {
		t.Errorf("request %v, task %v", sent, run)
	}
	if !links(run, sent) || !links(call, sent) {
		t.Errorf("links: task to request %v, call to request %v", run.GetLinks(), call.GetLinks())
	}
	if string(request.GetParentSpanId()) != string(call.GetSpanId()) {
		t.Errorf("the request is no child of its call: %v", request)
	}
	for key, want := range map[string]string{
		"http.request.method": "POST", "http.response.status_code": "200", "server.address": "127.0.0.1",
		"url.full": s.url + "/v25.0/" + phoneNumberID + "/block_users",
	} {
		if got := attribute(request, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if id := fmt.Sprintf("%x", call.GetTraceId()); !strings.Contains(w.log.String(), `"trace_id":"`+id+`"`) {
		t.Errorf("the call's log line does not hold its trace ID %s: %s", id, w.log)
	}
	text := to.raw.String()
	if !strings.Contains(text, "deployment.environment.name") || !strings.Contains(text, `"wablock"`) {
		t.Errorf("the resource does not say where it comes from: %s", text)
	}
	for _, secret := range []string{"6505551234", accessToken, appSecret, "appsecret_proof"} {
		if strings.Contains(text, secret) {
			t.Errorf("a span holds %q", secret)
		}
	}
}

// TestTracesThatCannotBeSent: without a collector, and with a protocol that is not built in, everything else goes
// on, and it is said.
func TestTracesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{})
	s.worker("worker")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for say, env := range map[string]string{
		"traces are lost": "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "http/protobuf alone": "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
	} {
		s.env = append(s.env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+gone.URL+"/v1/traces", env)
		if a := s.want(0, s.run("block", "+16505551234", "--wait")); !strings.Contains(a.err, say) {
			t.Errorf("%s: %s", env, a.err)
		}
	}
}

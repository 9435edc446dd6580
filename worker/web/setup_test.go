package web_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/web"
)

// fixture is a handler over a Redis of its own.
type fixture struct {
	t         *testing.T
	rdb       redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
	handler   http.Handler
}

func setup(t *testing.T, change ...func(*web.Config)) *fixture {
	t.Helper()
	_, rdb := redistest.Mini(t)
	return setupOn(t, rdb, change...)
}

func setupOn(t *testing.T, rdb redis.UniversalClient, change ...func(*web.Config)) *fixture {
	t.Helper()
	cfg := web.Config{
		Redis:   rdb,
		Version: "v1.2.3",
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	h, err := web.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{
		t: t, rdb: rdb, handler: h,
		client:    asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request as a browser on this machine would from wablock's own pages; headers are
// "Name: value".
func (f *fixture) do(method, path, body string, headers ...string) answer {
	f.t.Helper()
	r := httptest.NewRequestWithContext(f.t.Context(), method, path, strings.NewReader(body))
	r.Host = "localhost:8080"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	res := w.Result()
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (f *fixture) get(path string) answer { return f.do(http.MethodGet, path, "") }

func (f *fixture) enqueue(typ, payload string, opts ...asynq.Option) *asynq.TaskInfo {
	f.t.Helper()
	info, err := f.client.EnqueueContext(f.t.Context(), asynq.NewTask(typ, []byte(payload)), opts...)
	if err != nil {
		f.t.Fatal(err)
	}
	return info
}

// archived counts what stands in asynq's archive, in all queues.
func (f *fixture) archived() int {
	f.t.Helper()
	queues, err := f.inspector.Queues()
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for _, q := range queues {
		info, err := f.inspector.GetQueueInfo(q)
		if err != nil {
			f.t.Fatal(err)
		}
		n += info.Archived
	}
	return n
}

// process runs the worker's side of asynq until each handler has been called n times in all.
func (f *fixture) process(n int, queues map[string]int, handler asynq.HandlerFunc) {
	f.t.Helper()
	done := make(chan struct{}, n)
	srv := asynq.NewServerFromRedisClient(f.rdb, asynq.Config{Concurrency: 2, Queues: queues, LogLevel: asynq.FatalLevel})
	err := srv.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		err := handler(ctx, t)
		done <- struct{}{}
		return err
	}))
	if err != nil {
		f.t.Fatal(err)
	}
	for range n {
		select {
		case <-done:
		case <-f.t.Context().Done():
			f.t.Fatal(fmt.Errorf("handlers were not called: %w", f.t.Context().Err()))
		}
	}
	srv.Shutdown() // waits for the handlers, and for what asynq writes after them
}

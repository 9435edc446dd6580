package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/web"
)

// secrets are users as they are hidden in the tasks of garbage: in payloads, results, errors,
// task types, IDs and names of queues and groups.
var secrets = []string{
	"16505550101", "16505550102", "16505550103", "16505550104", "16505550105", "16505550106",
	"16505550107", "16505550108", "16505550109", "16505550110", "16505550111", "16505550112",
}

// garbage fills every state of asynq with tasks that hold secrets wherever a task can.
func garbage(t *testing.T, f *fixture) {
	t.Helper()
	for _, queue := range []string{"bulk", "dead-letter", "q-" + secrets[0]} {
		q := asynq.Queue(queue)
		f.enqueue("t-"+secrets[1], `{"to":"\u002b`+secrets[2]+`"}`, q, asynq.TaskID(secrets[3]+"-"+queue))
		f.enqueue("t", "call +1 (650) 555-0105", q, asynq.TaskID("later-"+secrets[5]+queue), asynq.ProcessIn(time.Hour))
		f.enqueue("t", `[`+secrets[6]+`]`, q, asynq.Group("g-"+secrets[7]), asynq.TaskID("grouped-"+queue))
		f.enqueue("done", secrets[8], asynq.Queue("work"), asynq.TaskID("done-"+queue), asynq.Retention(time.Hour))
		f.enqueue("fail", secrets[8], asynq.Queue("work"), asynq.TaskID("fail-"+queue), asynq.MaxRetry(5))
		f.enqueue("dead", secrets[8], asynq.Queue("work"), asynq.TaskID("dead-"+queue), asynq.MaxRetry(0))
	}
	f.process(9, map[string]int{"work": 1}, func(_ context.Context, task *asynq.Task) error {
		if task.Type() == "done" {
			_, err := task.ResultWriter().Write([]byte(`{"user":` + secrets[9] + `}`))
			return err
		}
		return errors.New("refused for +" + secrets[10])
	})
	s := asynq.NewSchedulerFromRedisClient(f.rdb, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel, HeartbeatInterval: 20 * time.Millisecond})
	if _, err := s.Register("@every 1h", asynq.NewTask("t", []byte(secrets[11]))); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	await(t, func() bool {
		entries, err := f.inspector.SchedulerEntries()
		return err == nil && len(entries) == 1
	})
}

// await waits for what another goroutine does.
func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never happened")
		}
	}
}

// crawl GETs every path of asynqmon's API that there is anything behind, and returns the answers
// by path. It takes names from Redis, since those that hold a number are masked in the answers.
func crawl(t *testing.T, f *fixture) map[string]answer {
	t.Helper()
	answers := make(map[string]answer)
	read := func(path string) answer {
		a := f.get("/monitor/api/" + path)
		answers[path] = a
		return a
	}
	read("queue_stats")
	read("servers")
	for _, id := range fields(t, read("scheduler_entries"), "id") {
		read("scheduler_entries/" + id + "/enqueue_events")
	}
	read("queues")
	queues, err := f.inspector.Queues()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range queues {
		q := "queues/" + url.PathEscape(name)
		read(q)
		read(q + "/groups")
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			read(q + "/" + state + "_tasks")
		}
		groups, err := f.inspector.Groups(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			read(q + "/groups/" + url.PathEscape(g.Group) + "/aggregating_tasks")
		}
		bodies := "asynq:{" + name + "}:t:"
		keys, err := f.rdb.Keys(t.Context(), bodies+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			read(q + "/tasks/" + url.PathEscape(strings.TrimPrefix(key, bodies)))
		}
	}
	return answers
}

// fields returns the values of a field, wherever in the answer it is.
func fields(t *testing.T, a answer, name string) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	var found []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				if s, ok := e.(string); ok && k == name && !slices.Contains(found, s) {
					found = append(found, s)
				}
				walk(e)
			}
		}
	}
	walk(v)
	return found
}

// No answer to any GET has a number of a user, wherever it was put.
func TestNoAnswerShowsANumber(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setupOn(t, rdb)
		garbage(t, f)
		answers := crawl(t, f)
		if len(answers) < 50 {
			t.Errorf("only %d paths were looked at", len(answers))
		}
		for path, a := range answers {
			if a.status != http.StatusOK {
				t.Errorf("GET %s = %d %s", path, a.status, a.body)
			}
			for _, s := range secrets {
				if strings.Contains(digitsOf(a.body), s) {
					t.Errorf("GET %s shows %s: %s", path, s, a.body)
				}
			}
		}
		all := fmt.Sprint(answers)
		for _, want := range []string{
			`t-…`, `"payload":"{\"to\":\"…\"}"`, `"payload":"call …"`, `"error_message":"refused for …"`, `"result":"{\"user\":\"…\"}"`,
			`"next_process_at":"20`, `"completed_at":"20`, `"task_payload":"\"…\""`,
		} {
			if !strings.Contains(all, want) {
				t.Errorf("nothing shows %s", want)
			}
		}
	})
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// Errors name what they speak of; they must not name a number.
func TestErrorsShowNoNumber(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.enqueue("x", "", queueBulk)
	for _, r := range []struct{ method, path string }{
		{http.MethodGet, "queues/16505551234"},
		{http.MethodGet, "queues/16505551234/pending_tasks"},
		{http.MethodGet, "queues/bulk/tasks/16505551234"},
		{http.MethodPost, "queues/16505551234:pause"},
		{http.MethodPost, "queues/bulk/scheduled_tasks/16505551234:run"},
		{http.MethodDelete, "queues/16505551234"},
		{http.MethodPost, "queues/bulk/%2B16505551234"},
	} {
		got := f.do(r.method, "/monitor/api/"+r.path, "")
		if strings.Contains(digitsOf(got.body), "16505551234") {
			t.Errorf("%s %s = %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

// asynq's estimate of memory fails where a task has no body, and asynqmon's queues with it.
func TestQueueWithAMissingBody(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setupOn(t, rdb)
		for i := range 3 {
			f.enqueue("x", "{}", queueBulk, asynq.TaskID(fmt.Sprint("p", i)))
			f.enqueue("x", "{}", queueBulk, asynq.TaskID(fmt.Sprint("s", i)), asynq.ProcessIn(time.Hour))
		}
		whole := memoryOf(t, f)
		if err := rdb.Del(t.Context(), "asynq:{bulk}:t:p0", "asynq:{bulk}:t:s1").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.inspector.GetQueueInfo("bulk"); err == nil {
			t.Fatal("asynq no longer fails: this test, and what it tests, can go")
		}
		if n := memoryOf(t, f); n < whole/2 || n > whole*3/2 {
			t.Errorf("the queue takes %v bytes; it took %v when it was whole", n, whole)
		}
		for path, a := range crawl(t, f) {
			if a.status != http.StatusOK {
				t.Errorf("GET %s = %d %s", path, a.status, a.body)
			}
		}
		if got := len(fields(t, f.get("/monitor/api/queues/bulk/pending_tasks"), "id")); got != 2 {
			t.Errorf("%d pending tasks are shown; want the 2 that have a body", got)
		}
	})
}

func memoryOf(t *testing.T, f *fixture) float64 {
	t.Helper()
	var body struct {
		Queues []struct {
			Bytes float64 `json:"memory_usage_bytes"`
		}
	}
	a := f.get("/monitor/api/queues")
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || len(body.Queues) != 1 || body.Queues[0].Bytes <= 0 {
		t.Fatalf("%s: %v", a.body, err)
	}
	return body.Queues[0].Bytes
}

// No Prometheus server is configured, so there is nothing behind asynqmon's charts.
func TestNoCharts(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if got := f.get("/monitor/api/metrics"); got.status != http.StatusNotFound || !strings.Contains(got.body, "/metrics") {
		t.Errorf("GET /monitor/api/metrics = %d %s", got.status, got.body)
	}
	for _, path := range []string{"/monitor/q/metrics", "/monitor/redis"} {
		if got := f.get(path); got.status != http.StatusSeeOther || got.header.Get("Location") != "/monitor/" {
			t.Errorf("GET %s = %d to %s", path, got.status, got.header.Get("Location"))
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for path, want := range map[string]string{
		"/":                                   "text/html; charset=utf-8",
		"/monitor/":                           "text/html; charset=utf-8",
		"/monitor/queues/dead-letter":         "text/html; charset=utf-8",
		"/monitor/queues/a.b/tasks/c.d":       "text/html; charset=utf-8",
		"/monitor/wablock.js":                 "text/javascript; charset=utf-8",
		"/monitor/wablock.css":                "text/css; charset=utf-8",
		"/monitor/favicon.ico":                "image/x-icon",
		"/monitor/static/js/none.js":          "",
		"/monitor/static/../../../etc/passwd": "",
		"/monitor/none.png":                   "",
		"/monitor/api/none":                   "",
		"/none":                               "",
	} {
		got := f.get(path)
		if want == "" && got.status < 300 || want != "" && (got.status != http.StatusOK || got.header.Get("Content-Type") != want) {
			t.Errorf("GET %s = %d %s; want %s", path, got.status, got.header.Get("Content-Type"), want)
		}
		if strings.Contains(got.body, "googleapis") {
			t.Errorf("GET %s asks for something elsewhere", path)
		}
	}
	if got := f.get("/monitor"); got.status != http.StatusMovedPermanently {
		t.Errorf("GET /monitor = %d", got.status)
	}
	page := f.get("/monitor/").body
	start := strings.Index(page, "/monitor/static/js/")
	if start < 0 {
		t.Fatal("the page has no scripts")
	}
	script := page[start : start+strings.IndexByte(page[start:], '"')]
	if got := f.get(script); got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), "application/javascript") {
		t.Errorf("GET %s = %d", script, got.status)
	}
}

// A page of tasks is bounded whatever is asked for.
func TestPageSizeIsBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for i := range 120 {
		f.enqueue("x", "{}", queueBulk, asynq.TaskID(fmt.Sprint("task-", i)))
	}
	for query, want := range map[string]int{
		"": 20, "?size=10": 10, "?size=100000": 100, "?size=-1": 1, "?size=x": 20, "?size=100&page=2": 20,
		"?page=99999999999999999999": 20, "?page=0": 20,
	} {
		if got := len(fields(t, f.get("/monitor/api/queues/bulk/pending_tasks"+query), "id")); got != want {
			t.Errorf("%q shows %d tasks; want %d", query, got, want)
		}
	}
}

// The monitor takes any kind of client, and closes none.
func TestEveryKindOfClient(t *testing.T) {
	t.Parallel()
	const nowhere = "127.0.0.1:1"
	for name, rdb := range map[string]redis.UniversalClient{
		"one":      redis.NewClient(&redis.Options{Addr: nowhere, MaxRetries: -1, DialerRetries: 1}),
		"sentinel": redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{nowhere}, MaxRetries: -1, DialerRetries: 1}),
		"cluster":  redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{nowhere}, MaxRedirects: -1, DialerRetries: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { _ = rdb.Close() })
			f := setupOn(t, rdb, func(c *web.Config) { c.Ready = func(context.Context) error { return nil } })
			if got := f.get("/monitor/"); got.status != http.StatusOK {
				t.Errorf("GET /monitor/ = %d", got.status)
			}
			if got := f.get("/monitor/api/queues"); got.status < 500 || json.Valid([]byte(got.body)) {
				t.Errorf("GET queues without Redis = %d %s; want an error in words, which the page shows", got.status, got.body)
			}
		})
	}
}

// One node that has all slots is a cluster to the client, and the monitor works on it.
func TestCluster(t *testing.T) {
	t.Parallel()
	node := redistest.Start(t, "--cluster-enabled", "yes")
	one := redis.NewClient(&redis.Options{Addr: node.Addr})
	t.Cleanup(func() { _ = one.Close() })
	if err := one.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return strings.Contains(one.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{node.Addr}})
	t.Cleanup(func() { _ = rdb.Close() })

	f := setupOn(t, rdb)
	garbage(t, f)
	for path, a := range crawl(t, f) {
		if a.status != http.StatusOK {
			t.Errorf("GET %s = %d %s", path, a.status, a.body)
		}
	}
}

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
// by path. Names come from the answers themselves, as the page takes them.
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
	read("redis_info")
	for _, id := range fields(t, read("scheduler_entries"), "id") {
		read("scheduler_entries/" + id + "/enqueue_events")
	}
	for _, q := range fields(t, read("queues"), "queue") {
		q = "queues/" + url.PathEscape(q)
		read(q)
		lists := []string{q + "/groups"}
		for _, g := range fields(t, read(q+"/groups"), "group") {
			lists = append(lists, q+"/groups/"+url.PathEscape(g)+"/aggregating_tasks")
		}
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			lists = append(lists, q+"/"+state+"_tasks")
		}
		for _, path := range lists {
			for _, id := range fields(t, read(path), "id") {
				read(q + "/tasks/" + url.PathEscape(id))
			}
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
				if strings.Contains(digitsOf(a.body), s) || strings.Contains(path, s) {
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

// A name with a number in it is shown as something else; the buttons work all the same.
func TestActionsOnHiddenNames(t *testing.T) {
	t.Parallel()
	const queue, id = "q-16505550101", "id:16505550102"
	f := setup(t)
	for _, suffix := range []string{"-a", "-b", "-c"} {
		f.enqueue("x", "", asynq.Queue(queue), asynq.TaskID(id+suffix), asynq.ProcessIn(time.Hour))
	}
	q := fields(t, f.get("/monitor/api/queues"), "queue")[0]
	list := "/monitor/api/queues/" + q + "/scheduled_tasks"
	ids := fields(t, f.get(list), "id")
	if len(ids) != 3 || strings.Contains(q+fmt.Sprint(ids), "1650555") {
		t.Fatalf("the names shown are %s and %v", q, ids)
	}
	if got := f.do(http.MethodPost, list+"/"+ids[0]+":run", ""); got.status != http.StatusNoContent {
		t.Errorf("run: %d %s", got.status, got.body)
	}
	if got := f.do(http.MethodDelete, list+"/"+ids[1], ""); got.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	body := `{"task_ids":["` + ids[2] + `","nobody"]}`
	want := `{"error_ids":["nobody"],"pending_ids":["` + ids[2] + `"]}`
	if got := f.do(http.MethodPost, list+":batch_run", body); strings.TrimSpace(got.body) != want {
		t.Errorf("batch: %d %s; want %s", got.status, got.body, want)
	}
	info, err := f.inspector.GetQueueInfo(queue)
	if err != nil || info.Pending != 2 || info.Scheduled != 0 {
		t.Errorf("the queue is %+v, %v; want two tasks pending", info, err)
	}
	// The alias of another process means nothing here, and must not be taken for a name.
	stranger := setupOn(t, f.rdb)
	if got := stranger.get(list); got.status != http.StatusNotFound || !strings.Contains(got.body, "reload") {
		t.Errorf("an alias from elsewhere: %d %s", got.status, got.body)
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

func TestRedisInfo(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		a := setupOn(t, rdb).get("/monitor/api/redis_info")
		var body struct{ Info map[string]string }
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		for _, field := range []string{ // that the page shows; one that is missing reads "undefined"
			"redis_version", "uptime_in_days", "used_memory_human", "used_memory_peak_human", "mem_fragmentation_ratio",
			"connected_clients", "connected_slaves", "rdb_last_save_time", "rdb_changes_since_last_save",
		} {
			if body.Info[field] == "" {
				t.Errorf("there is no %s", field)
			}
		}
	})
}

// No Prometheus server is configured, so there is nothing behind asynqmon's charts.
func TestNoCharts(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if got := f.get("/monitor/api/metrics"); got.status != http.StatusNotFound || !strings.Contains(got.body, "/metrics") {
		t.Errorf("GET /monitor/api/metrics = %d %s", got.status, got.body)
	}
	if got := f.get("/monitor/q/metrics"); got.status != http.StatusSeeOther || got.header.Get("Location") != "/monitor/" {
		t.Errorf("GET /monitor/q/metrics = %d to %s", got.status, got.header.Get("Location"))
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
			for _, path := range []string{"queues", "redis_info"} {
				if got := f.get("/monitor/api/" + path); got.status < 500 || json.Valid([]byte(got.body)) {
					t.Errorf("GET %s without Redis = %d %s; want an error in words, which the page shows", path, got.status, got.body)
				}
			}
		})
	}
}

// One node that has all slots is a cluster to the client: the monitor works on it, and its page on
// Redis says where the queues are.
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
	answers := crawl(t, f)
	for path, a := range answers {
		if a.status != http.StatusOK {
			t.Errorf("GET %s = %d %s", path, a.status, a.body)
		}
	}
	for _, want := range []string{`"cluster":true`, `"keyslot":`, node.Addr} {
		if !strings.Contains(answers["redis_info"].body, want) {
			t.Errorf("the page on Redis has no %s", want)
		}
	}
}

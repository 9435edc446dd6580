package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/web/overview"
)

func TestCounters(t *testing.T) {
	t.Parallel()
	m := metrics.New("v1.2.3")
	m.Call("1", "block", "answered", 1000, 150*time.Millisecond, "")
	m.Call("1", "block", "answered", 3, 90*time.Millisecond, "")
	m.Settled("1", "block", "succeeded", 0, 1001)
	m.Settled("1", "block", "dead", 131047, 2)
	m.RateLimitHit("106", "phone number")
	m.Limited("106", "pace", 100*time.Millisecond)
	m.Limited("106", "none", 0)

	want := `
wablock_build_info{version="v1.2.3"} 1
wablock_calls_total{operation="block",outcome="answered",phone_number_id="1"} 2
wablock_limiter_refusals_total{phone_number_id="106",reason="pace"} 1
wablock_rate_limit_hits_total{phone_number_id="106",scope="phone number"} 1
wablock_users_settled_total{code="",operation="block",phone_number_id="1",verdict="succeeded"} 1001
wablock_users_settled_total{code="131047",operation="block",phone_number_id="1",verdict="dead"} 2
`
	expect(t, m, want, "wablock_build_info", "wablock_calls_total", "wablock_limiter_refusals_total",
		"wablock_rate_limit_hits_total", "wablock_users_settled_total")
}

func TestLanes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("")
		m.Backlog("106", ledger.Backlog{Interactive: 3, Bulk: 40, Later: 7, Oldest: 1_500_000})
		m.LaneState("106", "halted")
		m.InFlight("106", 1000)
		m.InFlight("106", -400)
		began := time.Now().Unix()
		m.Learnt("106", 12.5, 0, 500)
		m.Learnt("106", 0, 10, 0)
		m.Limited("106", "paused", 8*time.Second)
		m.Backlog("107", ledger.Backlog{Bulk: 1})
		m.LaneClosed("107")
		<-time.After(3 * time.Second)

		expect(t, m, `
wablock_in_flight_users{phone_number_id="106"} 600
wablock_last_call_timestamp_seconds{phone_number_id="106"} `+strconv.FormatFloat(float64(began), 'g', -1, 64)+`
wablock_lane_state{phone_number_id="106",state="halted"} 1
wablock_lane_state{phone_number_id="106",state="full"} 0
wablock_lane_state{phone_number_id="106",state="running"} 0
wablock_lane_state{phone_number_id="106",state="outage"} 0
wablock_oldest_waiting_timestamp_seconds{phone_number_id="106"} 1.5
wablock_rate_anchor{phone_number_id="106"} 10
wablock_rate_limit{phone_number_id="106"} 12.5
wablock_rate_paused_seconds{phone_number_id="106"} 5
wablock_users_per_call{phone_number_id="106"} 500
wablock_waiting_users{phone_number_id="106",queue="bulk"} 40
wablock_waiting_users{phone_number_id="106",queue="interactive"} 3
wablock_waiting_users{phone_number_id="106",queue="reconcile"} 0
`, "wablock_in_flight_users", "wablock_last_call_timestamp_seconds", "wablock_lane_state", "wablock_oldest_waiting_timestamp_seconds", "wablock_rate_anchor", "wablock_rate_limit",
			"wablock_rate_paused_seconds", "wablock_users_per_call", "wablock_waiting_users")
	})
}

// TestIdleLanesKeepTheirSeries: a configured phone number ID has its series before its first call and while nothing waits, so that
// a series that ends means a worker that has gone.
func TestIdleLanesKeepTheirSeries(t *testing.T) {
	t.Parallel()
	m := metrics.New("", "106")
	names := []string{"wablock_waiting_users", "wablock_oldest_waiting_timestamp_seconds", "wablock_lane_state", "wablock_last_call_timestamp_seconds", "wablock_later_users", "wablock_rate_limit", "wablock_users_per_call", "wablock_in_flight_users"}
	before := scrape(t, m, names...)
	if len(before) != 3+1+4+1+1+1 {
		t.Errorf("before the first call: %q", before)
	}
	for _, id := range []string{"106", "999"} {
		m.Backlog(id, ledger.Backlog{Bulk: 40, Later: 7})
		m.LaneState(id, "halted")
		m.Learnt(id, 12.5, 10, 500)
		m.LaneClosed(id)
	}
	expect(t, m, `
wablock_lane_state{phone_number_id="106",state="running"} 1
wablock_lane_state{phone_number_id="106",state="halted"} 0
wablock_lane_state{phone_number_id="106",state="full"} 0
wablock_lane_state{phone_number_id="106",state="outage"} 0
wablock_later_users{phone_number_id="106"} 0
wablock_rate_limit{phone_number_id="106"} 12.5
wablock_users_per_call{phone_number_id="106"} 500
wablock_waiting_users{phone_number_id="106",queue="bulk"} 0
wablock_waiting_users{phone_number_id="106",queue="interactive"} 0
wablock_waiting_users{phone_number_id="106",queue="reconcile"} 0
`, "wablock_waiting_users", "wablock_lane_state", "wablock_later_users", "wablock_rate_limit", "wablock_users_per_call")
}

// TestOverview: what the overview shows of a phone number ID is in the metrics, those beyond the bound of labels summed up.
func TestOverview(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_795_000_000, 0)
	m := metrics.New("", "106", "107")
	if err := m.WatchOverview(func(context.Context) overview.Overview {
		return overview.Overview{PhoneNumbers: []overview.PhoneNumber{
			{ID: "106", ExpectedAt: at, Limit: overview.Limit{Pinned: 2.5}, Planned: 7, Dead: 13, DeadCodes: []ledger.DeadCode{{Code: 131047, Users: 9, Oldest: at.Add(-time.Hour)}, {Users: 1}}},
			{ID: "107", Limit: overview.Limit{Capped: 4}},
		}}
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
wablock_dead_letter_oldest_timestamp_seconds{code="131047",phone_number_id="106"} 1.7949964e+09
wablock_dead_letter_users{code="",phone_number_id="106"} 1
wablock_dead_letter_users{code="131047",phone_number_id="106"} 9
wablock_dead_letter_users{code="not counted",phone_number_id="106"} 3
wablock_expected_end_timestamp_seconds{phone_number_id="106"} 1.795e+09
wablock_planned_users{phone_number_id="106"} 7
wablock_planned_users{phone_number_id="107"} 0
wablock_rate_capped{phone_number_id="106"} 0
wablock_rate_capped{phone_number_id="107"} 4
wablock_rate_pinned{phone_number_id="106"} 2.5
wablock_rate_pinned{phone_number_id="107"} 0
`, "wablock_dead_letter_oldest_timestamp_seconds", "wablock_dead_letter_users", "wablock_expected_end_timestamp_seconds", "wablock_planned_users",
		"wablock_rate_capped", "wablock_rate_pinned")
}

// TestNames holds the metrics to Prometheus's conventions, as its own linter has them.
func TestNames(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	m := metrics.New("v1.2.3", "106")
	if err := errors.Join(m.WatchQueues(rdb), m.WatchPauses(rdb, []string{"106"}), m.WatchOverview(overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{"106"}}).Now)); err != nil {
		t.Fatal(err)
	}
	m.Call("106", "block", "answered", 2, time.Second, "")
	m.Settled("106", "block", "dead", 131047, 2)
	m.RateLimitHit("106", "phone number")
	m.Limited("106", "pace", time.Second)
	m.Learnt("106", 1, 1, 1)
	m.Backlog("106", ledger.Backlog{Bulk: 1, Oldest: 1_500_000})
	m.Kept("106", 1, 1)
	m.Reconciled(reconcile.Record{PhoneNumberID: "106", EndedAt: time.Now(), Actual: 10})
	m.Standing("106", reconcile.Standing{Planned: reconcile.Record{EndedAt: time.Now(), Actual: 10}, Overdue: time.Now()})
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := metrics.New("")
	for i := range 1000 {
		id := fmt.Sprint(106540352242922 + i)
		m.RateLimitHit(id, "phone number")
		m.Backlog(id, ledger.Backlog{Bulk: 1})
		m.Settled(id, "block", "dead", i+1, 1)
		m.Call(id, "block", fmt.Sprint("outcome ", i), 1, time.Second, "")
	}
	for name, want := range map[string]int{
		"wablock_rate_limit_hits_total": 101, "wablock_users_settled_total": 101, "wablock_calls_total": 101,
		"wablock_waiting_users": 3 * 101,
	} {
		if got := len(scrape(t, m, name)); got != want {
			t.Errorf("%s has %d series; want %d", name, got, want)
		}
	}
	// Nothing is lost under "other": a thousand lanes with one user each.
	sum := 0.0
	for _, line := range scrape(t, m, "wablock_waiting_users") {
		n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != 1000 {
		t.Errorf("waiting users add up to %v; want 1000", sum)
	}
}

// TestConfiguredNumbersKeepTheirLabel: whatever producers name first, and however many are configured.
func TestConfiguredNumbersKeepTheirLabel(t *testing.T) {
	t.Parallel()
	var configured []string
	for i := range 150 {
		configured = append(configured, fmt.Sprint("106", i))
	}
	m := metrics.New("", configured...)
	for i := range 1000 {
		m.RateLimitHit(fmt.Sprint("999", i), "phone number")
	}
	for _, id := range configured {
		m.RateLimitHit(id, "phone number")
	}
	got := scrape(t, m, "wablock_rate_limit_hits_total")
	for _, id := range configured {
		if want := fmt.Sprintf("wablock_rate_limit_hits_total{phone_number_id=%q,scope=\"phone number\"} 1", id); !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if want := 150 + 100 + 1; len(got) != want {
		t.Errorf("%d series; want %d", len(got), want)
	}
}

func TestQueues(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		q := asynq.NewClientFromRedisClient(rdb)
		for i := range 3 {
			enqueue(t, q, "bulk", fmt.Sprint("b", i))
		}
		enqueue(t, q, "dead-letter", "d", asynq.ProcessIn(time.Hour))
		// The body of one task is missing, at which asynq's own count of the queue fails.
		if err := rdb.Del(t.Context(), "asynq:{bulk}:t:b1").Err(); err != nil {
			t.Fatal(err)
		}
		m := metrics.New("")
		if err := m.WatchQueues(rdb); err != nil {
			t.Fatal(err)
		}
		expect(t, m, queueTasks(map[string]int{"bulk pending": 3, "dead-letter scheduled": 1})+`
wablock_dead_letters 1
wablock_redis_up 1
`, "wablock_queue_tasks", "wablock_dead_letters", "wablock_redis_up")
	})
}

func TestQueuesWithoutRedis(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	mini.SetError("LOADING Redis is loading the dataset in memory")
	m := metrics.New("")
	if err := m.WatchQueues(rdb); err != nil {
		t.Fatal(err)
	}
	expect(t, m, `
wablock_redis_up 0
`, "wablock_queue_tasks", "wablock_dead_letters", "wablock_redis_up")
}

func enqueue(t *testing.T, c *asynq.Client, queue, id string, opts ...asynq.Option) {
	t.Helper()
	opts = append(opts, asynq.Queue(queue), asynq.TaskID(id))
	if _, err := c.EnqueueContext(t.Context(), asynq.NewTask("x", nil), opts...); err != nil {
		t.Fatal(err)
	}
}

// queueTasks writes out wablock_queue_tasks, 0 where counts ("queue state") does not say.
func queueTasks(counts map[string]int) string {
	var b strings.Builder
	for _, q := range []string{"bulk", "dead-letter", "interactive", "reconcile"} {
		for _, s := range []string{"active", "archived", "completed", "pending", "retry", "scheduled"} {
			fmt.Fprintf(&b, "wablock_queue_tasks{queue=%q,state=%q} %d\n", q, s, counts[q+" "+s])
		}
	}
	return b.String()
}

// expect holds the series of the names given against want, in any order.
func expect(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(want), "\n")
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
	slices.Sort(lines)
	if diff := cmp.Diff(lines, scrape(t, m, names...)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// scrape returns the lines that Prometheus reads for the names given, sorted.
func scrape(t *testing.T, m *metrics.Metrics, names ...string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	promhttp.HandlerFor(m.Registry(), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		name := line[:strings.IndexAny(line, "{ ")]
		if slices.Contains(names, name) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(lines)
	return lines
}

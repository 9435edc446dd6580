package metrics

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/worker/web/overview"
)

const (
	namespace = "wablock"
	number    = "phone_number_id"
)

// Metrics counts what one process does. Make one with New. It is safe for concurrent use.
type Metrics struct {
	*lanes
	*runs
	*webhooks

	registry *prometheus.Registry

	numbers, codes, outcomes *capped

	calls       *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	users       *prometheus.HistogramVec
	settled     *prometheus.CounterVec
	limitHits   *prometheus.CounterVec
	limiterWait *prometheus.CounterVec
}

// New returns metrics in a registry of their own, with those of the process and of Go. The
// version is shown in wablock_build_info; the phone number IDs that are configured have series of
// their own, however many others there are.
func New(version string, configured ...string) *Metrics {
	numbers := newCapped(maxNumbers, configured...)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		lanes:    newLanes(numbers, configured),
		runs:     newRuns(numbers),
		webhooks: newWebhooks(),
		numbers:  numbers,
		codes:    newCapped(maxCodes),
		outcomes: newCapped(maxCodes),

		calls: counter("calls_total", "Calls of the Block Users API, by how they ended.", number, "operation", "outcome"),
		duration: histogram("call_duration_seconds", "How long calls took.",
			[]float64{.05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10, 30}, "operation"),
		users: histogram("call_users", "Users in a call.",
			[]float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 750, 1000}, "operation"),
		settled:     counter("users_settled_total", "Verdicts on users; one user may get several, each retry being one.", number, "operation", "verdict", "code"),
		limitHits:   counter("rate_limit_hits_total", "Calls that the API refused for their rate or size.", number, "scope"),
		limiterWait: counter("limiter_refusals_total", "Times that the limiter told a lane to wait, by reason.", number, "reason"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of this program.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		build, m.calls, m.duration, m.users, m.settled, m.limitHits, m.limiterWait, m.lanes,
		m.runs, m.webhooks.events, m.webhooks.requests,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// histogram returns a classic histogram that is a native one, too, for scrapers that ask for it.
func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// Registry returns the registry behind /metrics, where other collectors may be registered.
func (m *Metrics) Registry() *prometheus.Registry {
	return m.registry
}

// Call counts one call of the API with its users and its duration. The outcome is a short name
// out of a fixed set, not an error text. The trace ID, "" for none, is the exemplar of the duration.
func (m *Metrics) Call(phoneNumberID, operation, outcome string, users int, took time.Duration, traceID string) {
	m.calls.WithLabelValues(m.numbers.label(phoneNumberID), operation, m.outcomes.label(outcome)).Inc()
	observe(m.duration.WithLabelValues(operation), took.Seconds(), traceID)
	m.users.WithLabelValues(operation).Observe(float64(users))
}

// observe adds a value to a histogram, with the trace that it is of as an exemplar, if there is one.
func observe(h prometheus.Observer, value float64, traceID string) {
	if e, ok := h.(prometheus.ExemplarObserver); ok && traceID != "" {
		e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": traceID})
		return
	}
	h.Observe(value)
}

// Settled counts n users with the same verdict. The code is the API's, 0 for none.
func (m *Metrics) Settled(phoneNumberID, operation, verdict string, code, n int) {
	label := ""
	if code != 0 {
		label = m.codes.label(strconv.Itoa(code))
	}
	m.settled.WithLabelValues(m.numbers.label(phoneNumberID), operation, verdict, label).Add(float64(n))
}

// RateLimitHit counts a call that the API refused for its rate or size, on behalf of the phone
// number or of the account.
func (m *Metrics) RateLimitHit(phoneNumberID, scope string) {
	m.limitHits.WithLabelValues(m.numbers.label(phoneNumberID), scope).Inc()
}

// reasonPaused is ratelimit.Paused's name.
const reasonPaused = "paused"

// Limited counts a refusal of the limiter, by its reason. A wait of 0 counts nothing: the limiter
// did not answer.
func (m *Metrics) Limited(phoneNumberID, reason string, wait time.Duration) {
	if wait <= 0 {
		return
	}
	m.limiterWait.WithLabelValues(m.numbers.label(phoneNumberID), reason).Inc()
	if reason == reasonPaused {
		m.lanes.change(phoneNumberID, func(l *lane) { l.pausedUntil = time.Now().Add(wait) })
	}
}

// WatchQueues adds gauges over asynq's queues in rdb, which are read when Prometheus asks, at
// most every five seconds and within three; while Redis does not answer, wablock_redis_up is 0
// and the counts are left out. It is an error to call it twice.
func (m *Metrics) WatchQueues(rdb redis.UniversalClient) error {
	if err := m.registry.Register(newQueues(rdb)); err != nil {
		return fmt.Errorf("metrics: watch queues: %w", err)
	}
	return nil
}

// WatchPauses adds the pauses of phone number IDs, and of all, which it reads at each scrape.
func (m *Metrics) WatchPauses(rdb redis.UniversalClient, phoneNumberIDs []string) error {
	if err := m.registry.Register(newPauses(rdb, phoneNumberIDs)); err != nil {
		return fmt.Errorf("metrics: watch pauses: %w", err)
	}
	return nil
}

// WatchOverview adds what the overview shows of phone number IDs, whichever workers call for them. now is asked at each
// scrape, and keeps its answer for a while.
func (m *Metrics) WatchOverview(now func(context.Context) overview.Overview) error {
	if err := m.registry.Register(newOverview(now, m.numbers, m.codes)); err != nil {
		return fmt.Errorf("metrics: watch the overview: %w", err)
	}
	return nil
}

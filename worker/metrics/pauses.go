package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
)

// pausesFor bounds the age of a reading of the pauses.
const pausesFor = 2 * time.Second

// pauseCollector is a collector over the pauses of operators: of the configured phone number IDs, and of all.
type pauseCollector struct {
	rdb     redis.UniversalClient
	numbers []string
	desc    *prometheus.Desc

	mu    sync.Mutex
	until time.Time
	all   []pause.Pause
	ok    bool
}

func newPauses(rdb redis.UniversalClient, numbers []string) *pauseCollector {
	return &pauseCollector{rdb: rdb, numbers: numbers, desc: prometheus.NewDesc(prometheus.BuildFQName(namespace, "", "paused"),
		"1 while `wablock pause` stops an operation of a phone number ID, or of \"all\"; absent without Redis.", []string{number, "operation"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *pauseCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *pauseCollector) Collect(ch chan<- prometheus.Metric) {
	all, ok := c.read()
	if !ok {
		return
	}
	for _, id := range append([]string{""}, c.numbers...) {
		label := id
		if id == "" {
			label = "all"
		}
		for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
			value := 0.0
			if _, stops := pause.Stops(all, id, op); stops {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value, label, string(op))
		}
	}
}

func (c *pauseCollector) read() ([]pause.Pause, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.all, c.ok
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuesTimeout)
	defer cancel()
	all, err := pause.Of(ctx, c.rdb, c.numbers...)
	c.all, c.ok, c.until = all, err == nil, time.Now().Add(pausesFor)
	return c.all, c.ok
}

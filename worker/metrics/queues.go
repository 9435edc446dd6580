package metrics

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

const (
	queuesTimeout = 3 * time.Second
	queuesFor     = 5 * time.Second // counts are reused for this long
)

// queueCollector is a collector over asynq's own keys. Its Inspector gives the same counts, but knows no
// deadline, and fails for a whole queue where the body of one task is missing.
type queueCollector struct {
	rdb redis.UniversalClient

	mu     sync.Mutex
	until  time.Time
	counts map[[2]string]int64 // by queue and state; nil when Redis did not answer

	tasks, dead, up *prometheus.Desc
}

func newQueues(rdb redis.UniversalClient) *queueCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &queueCollector{
		rdb:   rdb,
		tasks: desc("queue_tasks", "Tasks in asynq's queues.", "queue", "state"),
		dead:  desc("dead_letters", "Entries in the dead-letter queue."),
		up:    desc("redis_up", "1 if Redis answered when the queues were counted last."),
	}
}

// states are asynq's, each kept under a key of that name: the first two as lists, the others as
// sorted sets.
var states = []string{"pending", "active", "scheduled", "retry", "archived", "completed"}

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.tasks
	ch <- c.dead
	ch <- c.up
}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	counts := c.read()
	if counts == nil {
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 0)
		return
	}
	ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, 1)
	var dead int64
	for key, n := range counts {
		ch <- prometheus.MustNewConstMetric(c.tasks, prometheus.GaugeValue, float64(n), key[0], key[1])
		if key[0] == queues.DeadLetter && key[1] != "completed" {
			dead += n
		}
	}
	ch <- prometheus.MustNewConstMetric(c.dead, prometheus.GaugeValue, float64(dead))
}

func (c *queueCollector) read() map[[2]string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.counts
	}
	ctx, cancel := context.WithTimeout(context.Background(), queuesTimeout)
	defer cancel()
	c.counts = count(ctx, c.rdb)
	c.until = time.Now().Add(queuesFor)
	return c.counts
}

// count asks for all lengths at once; nil means that Redis did not answer.
func count(ctx context.Context, rdb redis.UniversalClient) map[[2]string]int64 {
	pipe := rdb.Pipeline()
	asked := make(map[[2]string]*redis.IntCmd)
	for _, q := range append(ledger.Queues(), queues.DeadLetter) {
		for i, state := range states {
			key := "asynq:{" + string(q) + "}:" + state
			if i < 2 {
				asked[[2]string{string(q), state}] = pipe.LLen(ctx, key)
			} else {
				asked[[2]string{string(q), state}] = pipe.ZCard(ctx, key)
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, new(redis.Error)) {
		return nil
	}
	counts := make(map[[2]string]int64, len(asked))
	for key, cmd := range asked {
		if n, err := cmd.Result(); err == nil { // a key of another type is not ours to count
			counts[key] = n
		}
	}
	if len(counts) == 0 { // Redis answers, but with refusals alone: it is loading, say
		return nil
	}
	return counts
}

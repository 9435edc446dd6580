package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/worker/reconcile"
)

// runs is a collector of what the last reconciliations were, in whatever process they ran.
type runs struct {
	numbers *capped

	mu         sync.Mutex
	last, good map[string]reconcile.Record // by the label of the phone number ID

	lastGood, lastRun, drift, duration, tripped *prometheus.Desc
}

func newRuns(numbers *capped) *runs {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "reconcile", name), help, append([]string{number}, labels...), nil)
	}
	return &runs{
		numbers:  numbers,
		last:     map[string]reconcile.Record{},
		good:     map[string]reconcile.Record{},
		lastGood: gauge("last_success_timestamp_seconds", "When the last run ended that did all that it was for, in Unix time."),
		lastRun:  gauge("last_run_timestamp_seconds", "When the last run ended, in Unix time."),
		drift:    gauge("drift_users", "Users that the last run found to differ, by kind.", "kind"),
		duration: gauge("last_duration_seconds", "How long the last run took."),
		tripped:  gauge("last_guard_tripped", "1 for each guard that stopped the last run's unblocks.", "guard"),
	}
}

// LastRun sets the last run of a phone number ID and the last good one, of any process; the zero
// Record for none.
func (m *Metrics) LastRun(phoneNumberID string, last, good reconcile.Record) {
	label := m.numbers.label(phoneNumberID)
	m.runs.mu.Lock()
	defer m.runs.mu.Unlock()
	m.runs.last[label] = last
	if !good.EndedAt.IsZero() {
		m.runs.good[label] = good
	}
}

// Reconciled counts a run that ended in this process.
func (m *Metrics) Reconciled(r reconcile.Record) {
	result := "done"
	switch {
	case r.Error != "":
		result = "failed"
	case !r.Good():
		result = "stopped"
	}
	label := m.numbers.label(r.PhoneNumberID)
	m.reconciled.WithLabelValues(label, result).Inc()
	if !r.Good() {
		for _, g := range r.Guards {
			m.guardTrips.WithLabelValues(label, string(g.Guard)).Inc()
		}
	}
}

// Kept counts the repairs of a housekeeping of the ledger.
func (m *Metrics) Kept(phoneNumberID string, requeued, forgotten int) {
	label := m.numbers.label(phoneNumberID)
	m.repaired.WithLabelValues(label, "requeued").Add(float64(requeued))
	m.repaired.WithLabelValues(label, "forgotten").Add(float64(forgotten))
}

// Describe implements prometheus.Collector.
func (c *runs) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lastGood, c.lastRun, c.drift, c.duration, c.tripped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *runs) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for label, r := range c.good {
		gauge(c.lastGood, float64(r.EndedAt.Unix()), label)
	}
	for label, r := range c.last {
		gauge(c.lastRun, float64(r.EndedAt.Unix()), label)
		gauge(c.duration, r.Duration().Seconds(), label)
		for kind, n := range map[string]int{
			"to_block": r.ToBlock, "to_unblock": r.ToUnblock, "to_adopt": r.ToAdopt, "ambiguous": r.Ambiguous, "left_alone": r.LeftAlone,
		} {
			gauge(c.drift, float64(n), label, kind)
		}
		for _, g := range r.Guards {
			if !r.Good() {
				gauge(c.tripped, 1, label, string(g.Guard))
			}
		}
	}
}

package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// runs collects how reconciliations stand, in whatever process they ran, and counts those of this
// process.
type runs struct {
	numbers *capped

	mu        sync.Mutex
	standings map[string]reconcile.Standing // by the label of the phone number ID

	lastGood, lastRun, overdue, drift, listed, capacity, duration, tripped *prometheus.Desc
	ended, guardTrips, repaired                                            *prometheus.CounterVec
}

func newRuns(numbers *capped) *runs {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "reconcile", name), help, append([]string{number}, labels...), nil)
	}
	list := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "blocklist", name), help, []string{number}, nil)
	}
	return &runs{
		numbers:    numbers,
		standings:  map[string]reconcile.Standing{},
		lastGood:   gauge("last_success_timestamp_seconds", "When the last run ended that did all that it was for, in Unix time; 0 for none, with a schedule."),
		lastRun:    gauge("last_run_timestamp_seconds", "When the last run ended, in Unix time."),
		overdue:    gauge("overdue_timestamp_seconds", "When the second scheduled run without a success is due, in Unix time."),
		drift:      gauge("drift_users", "Users that the last run that could compare found to differ, by kind.", "kind"),
		listed:     list("users", "Users on the blocklist, as the last run read it."),
		capacity:   list("capacity", "Users that a blocklist holds."),
		duration:   gauge("last_duration_seconds", "How long the last run took."),
		tripped:    gauge("last_guard_tripped", "1 for each guard that stopped the unblocks of the last run that could compare.", "guard"),
		ended:      counter("reconcile_runs_total", "Reconciliations that ended in this process: done, stopped by a guard, or failed.", number, "result"),
		guardTrips: counter("reconcile_guard_trips_total", "Guards that stopped the unblocks of a reconciliation in this process.", number, "guard"),
		repaired:   counter("ledger_repaired_users_total", "Users that housekeeping of the ledger requeued or forgot.", number, "action"),
	}
}

// Standing sets how the reconciliations of a phone number ID stand. What the last plan found stays
// while later runs fail.
func (c *runs) Standing(phoneNumberID string, s reconcile.Standing) {
	label := c.numbers.label(phoneNumberID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.standings[label]; s.Planned.EndedAt.IsZero() {
		s.Planned = before.Planned
	}
	c.standings[label] = s
}

// Reconciled counts a run that ended in this process.
func (c *runs) Reconciled(r reconcile.Record) {
	result := "done"
	switch {
	case r.Error != "":
		result = "failed"
	case !r.Good():
		result = "stopped"
	}
	label := c.numbers.label(r.PhoneNumberID)
	c.ended.WithLabelValues(label, result).Inc()
	if !r.Good() {
		for _, g := range r.Guards {
			c.guardTrips.WithLabelValues(label, string(g.Guard)).Inc()
		}
	}
}

// Kept counts the repairs of a housekeeping of the ledger.
func (c *runs) Kept(phoneNumberID string, requeued, forgotten int) {
	label := c.numbers.label(phoneNumberID)
	c.repaired.WithLabelValues(label, "requeued").Add(float64(requeued))
	c.repaired.WithLabelValues(label, "forgotten").Add(float64(forgotten))
}

// Describe implements prometheus.Collector.
func (c *runs) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lastGood, c.lastRun, c.overdue, c.drift, c.listed, c.capacity, c.duration, c.tripped} {
		ch <- d
	}
	c.ended.Describe(ch)
	c.guardTrips.Describe(ch)
	c.repaired.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *runs) Collect(ch chan<- prometheus.Metric) {
	c.ended.Collect(ch)
	c.guardTrips.Collect(ch)
	c.repaired.Collect(ch)
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for label, s := range c.standings {
		switch {
		case !s.Good.EndedAt.IsZero():
			gauge(c.lastGood, float64(s.Good.EndedAt.Unix()), label)
		case !s.Overdue.IsZero(): // so that a schedule that never succeeded has a series
			gauge(c.lastGood, 0, label)
		}
		if !s.Overdue.IsZero() {
			gauge(c.overdue, float64(s.Overdue.Unix()), label)
		}
		if !s.Last.EndedAt.IsZero() {
			gauge(c.lastRun, float64(s.Last.EndedAt.Unix()), label)
			gauge(c.duration, s.Last.Duration().Seconds(), label)
		}
		p := s.Planned
		if p.EndedAt.IsZero() {
			continue
		}
		for kind, n := range map[string]int{
			"to_block": p.ToBlock, "to_unblock": p.ToUnblock, "to_adopt": p.ToAdopt, "ambiguous": p.Ambiguous, "left_alone": p.LeftAlone,
		} {
			gauge(c.drift, float64(n), label, kind)
		}
		gauge(c.listed, float64(p.Actual), label)
		gauge(c.capacity, plan.Capacity, label)
		if p.Approved || p.Mode == plan.Report {
			continue
		}
		for _, g := range p.Guards {
			gauge(c.tripped, 1, label, string(g.Guard))
		}
	}
}

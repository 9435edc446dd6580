package metrics

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/web/overview"
)

// overviewTimeout bounds the reading of an overview for a scrape.
const overviewTimeout = 5 * time.Second

// overviewCollector is a collector over what the overview shows of phone number IDs, of whichever workers call for them.
type overviewCollector struct {
	now            func(context.Context) overview.Overview
	numbers, codes *capped

	expected, pinned, capped, planned, dead, oldest *prometheus.Desc
}

func newOverview(now func(context.Context) overview.Overview, numbers, codes *capped) *overviewCollector {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, append([]string{number}, labels...), nil)
	}
	return &overviewCollector{
		now: now, numbers: numbers, codes: codes,
		expected: gauge("expected_end_timestamp_seconds", "When what waits now will have gone out, in Unix time; absent when nothing waits or it can't be told."),
		pinned:   gauge("rate_pinned", "Calls a second at which an operator has pinned the rate; 0 for none."),
		capped:   gauge("rate_capped", "Calls a second above which an operator lets no rate go; 0 for none."),
		planned:  gauge("planned_users", "Users whose requests are put off to a later time."),
		dead:     gauge("dead_letter_users", "Users in the dead-letter queue, by the API's code; \"\" for none, \"not counted\" for those beyond what is read.", "code"),
		oldest:   gauge("dead_letter_oldest_timestamp_seconds", "When the dead letter of a code that failed first did so, in Unix time.", "code"),
	}
}

// Describe implements prometheus.Collector.
func (c *overviewCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.expected, c.pinned, c.capped, c.planned, c.dead, c.oldest} {
		ch <- d
	}
}

// overviewSum adds up the phone number IDs that share one label.
type overviewSum struct {
	expected       time.Time
	pinned, capped float64
	planned, left  int
	codes          map[string]ledger.DeadCode // by the label of the code
}

// Collect implements prometheus.Collector.
func (c *overviewCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), overviewTimeout)
	defer cancel()
	sums := map[string]*overviewSum{}
	for _, p := range c.now(ctx).PhoneNumbers {
		label := c.numbers.label(p.ID)
		s := sums[label]
		if s == nil {
			s = &overviewSum{codes: map[string]ledger.DeadCode{}}
			sums[label] = s
		}
		s.add(p, c.codes)
	}
	for label, s := range sums {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{label}, labels...)...)
		}
		if !s.expected.IsZero() {
			gauge(c.expected, float64(s.expected.Unix()))
		}
		gauge(c.pinned, s.pinned)
		gauge(c.capped, s.capped)
		gauge(c.planned, float64(s.planned))
		for code, d := range s.codes {
			gauge(c.dead, float64(d.Users), code)
			if !d.Oldest.IsZero() {
				gauge(c.oldest, float64(d.Oldest.Unix()), code)
			}
		}
		if s.left > 0 {
			gauge(c.dead, float64(s.left), "not counted")
		}
	}
}

func (s *overviewSum) add(p overview.PhoneNumber, codes *capped) {
	if p.ExpectedAt.After(s.expected) {
		s.expected = p.ExpectedAt
	}
	s.pinned, s.capped = max(s.pinned, p.Limit.Pinned), max(s.capped, p.Limit.Capped)
	s.planned += p.Planned
	s.left += p.Dead
	for _, d := range p.DeadCodes {
		s.left -= d.Users
		label := ""
		if d.Code != 0 {
			label = codes.label(strconv.Itoa(d.Code))
		}
		sum, known := s.codes[label]
		sum.Users += d.Users
		if !known || d.Oldest.Before(sum.Oldest) {
			sum.Oldest = d.Oldest
		}
		s.codes[label] = sum
	}
}

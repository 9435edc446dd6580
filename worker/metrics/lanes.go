package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
)

// lane holds the gauges of one phone number ID in this process.
type lane struct {
	state        string
	backlog      ledger.Backlog
	inFlight     int
	rate, anchor float64
	usersPerCall int
	pausedUntil  time.Time
	lastCall     time.Time // when the lane opened, before the first
}

// lanes is a collector of gauges over the lanes that are open, and over the configured phone number IDs, open or not. Those that share the label
// "other" are added up.
type lanes struct {
	numbers *capped

	kept map[string]bool // phone number IDs whose series stay while nothing waits

	mu   sync.Mutex
	open map[string]*lane // by phone number ID; the worker bounds how many are open

	waiting, oldest, later, inFlight, state, rate, anchor, paused, usersPerCall, lastCall *prometheus.Desc
}

func newLanes(numbers *capped, configured []string) *lanes {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, append([]string{number}, labels...), nil)
	}
	c := &lanes{
		numbers:      numbers,
		open:         make(map[string]*lane),
		kept:         make(map[string]bool),
		waiting:      gauge("waiting_users", "Users that could be sent now, as of the lane's last look.", "queue"),
		oldest:       gauge("oldest_waiting_timestamp_seconds", "When the user that waits longest was asked for, in Unix time, as of the lane's last look; the time of the scrape while none waits."),
		later:        gauge("later_users", "Users that are in flight anywhere or wait for their next attempt, as of the lane's last look."),
		inFlight:     gauge("in_flight_users", "Users in calls of this process."),
		state:        gauge("lane_state", "Lanes of this process in a state: 1 or 0, more only under \"other\".", "state"),
		rate:         gauge("rate_limit", "Calls a second that are allowed, as of the lane's last look."),
		anchor:       gauge("rate_anchor", "Calls a second at which the API last pushed back; 0 while it never did."),
		paused:       gauge("rate_paused_seconds", "Seconds that the rate limit's pause has left."),
		usersPerCall: gauge("users_per_call", "Users that a call may carry now."),
		lastCall:     gauge("last_call_timestamp_seconds", "When this process last began a call, or opened the lane, in Unix time."),
	}
	for _, id := range configured {
		c.kept[id] = true
		c.change(id, func(*lane) {})
	}
	return c
}

func (c *lanes) change(phoneNumberID string, f func(l *lane)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.open[phoneNumberID]
	if l == nil {
		l = &lane{state: string(fleet.Running), lastCall: time.Now()}
		c.open[phoneNumberID] = l
	}
	f(l)
}

var laneStates = [...]fleet.State{fleet.Running, fleet.Halted, fleet.Outage, fleet.Full}

// LaneState sets the state of a lane.
func (c *lanes) LaneState(phoneNumberID, state string) {
	c.change(phoneNumberID, func(l *lane) { l.state = state })
}

// LaneClosed removes a lane that has no more work. Of a configured phone number ID it leaves what was learnt: rules and
// dashboards tell a series that ends from a worker that has gone.
func (c *lanes) LaneClosed(phoneNumberID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.open[phoneNumberID]
	if l == nil || !c.kept[phoneNumberID] {
		delete(c.open, phoneNumberID)
		return
	}
	c.open[phoneNumberID] = &lane{state: string(fleet.Running), rate: l.rate, anchor: l.anchor, usersPerCall: l.usersPerCall, pausedUntil: l.pausedUntil, lastCall: l.lastCall}
}

// Backlog sets the users that wait for a phone number ID.
func (c *lanes) Backlog(phoneNumberID string, b ledger.Backlog) {
	c.change(phoneNumberID, func(l *lane) { l.backlog = b })
}

// InFlight adds to the users in calls of this process; a negative number takes away.
func (c *lanes) InFlight(phoneNumberID string, users int) {
	c.change(phoneNumberID, func(l *lane) {
		l.inFlight += users
		if users > 0 {
			l.lastCall = time.Now()
		}
	})
}

// Learnt sets the limiter's estimates: calls a second, the rate at which the API last pushed back
// (0 if never), and users a call. Arguments that are 0 or less change nothing.
func (c *lanes) Learnt(phoneNumberID string, rate, anchor float64, usersPerCall int) {
	c.change(phoneNumberID, func(l *lane) {
		if rate > 0 {
			l.rate = rate
		}
		if anchor > 0 {
			l.anchor = anchor
		}
		if usersPerCall > 0 {
			l.usersPerCall = usersPerCall
		}
	})
}

// Describe implements prometheus.Collector.
func (c *lanes) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.waiting, c.oldest, c.later, c.inFlight, c.state, c.rate, c.anchor, c.paused, c.usersPerCall, c.lastCall} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *lanes) Collect(ch chan<- prometheus.Metric) {
	for label, sum := range c.sums(time.Now()) {
		gauge := func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{label}, labels...)...)
		}
		for q, n := range sum.waiting {
			gauge(c.waiting, n, q)
		}
		for s, n := range sum.states {
			gauge(c.state, n, s)
		}
		gauge(c.oldest, float64(sum.oldest.UnixMilli())/1000)
		gauge(c.later, sum.later)
		gauge(c.inFlight, sum.inFlight)
		gauge(c.paused, sum.paused)
		gauge(c.lastCall, sum.lastCall)
		if sum.rate > 0 {
			gauge(c.rate, sum.rate)
			gauge(c.anchor, sum.anchor)
		}
		if sum.usersPerCall > 0 {
			gauge(c.usersPerCall, sum.usersPerCall)
		}
	}
}

// laneSum adds up the lanes that share one value of the label.
type laneSum struct {
	waiting, states                                               map[string]float64
	later, inFlight, rate, anchor, paused, usersPerCall, lastCall float64
	oldest                                                        time.Time
}

func (c *lanes) sums(now time.Time) map[string]*laneSum {
	c.mu.Lock()
	defer c.mu.Unlock()
	sums := make(map[string]*laneSum)
	for id, l := range c.open {
		label := c.numbers.label(id)
		s := sums[label]
		if s == nil {
			s = &laneSum{waiting: make(map[string]float64), states: make(map[string]float64), oldest: now}
			for _, state := range laneStates {
				s.states[string(state)] = 0
			}
			sums[label] = s
		}
		s.waiting[string(ledger.Interactive)] += float64(l.backlog.Interactive)
		s.waiting[string(ledger.Bulk)] += float64(l.backlog.Bulk)
		s.waiting[string(ledger.Reconcile)] += float64(l.backlog.Reconcile)
		if v := l.backlog.Oldest; v > 0 && v.Time().Before(s.oldest) {
			s.oldest = v.Time()
		}
		s.states[l.state]++
		s.later += float64(l.backlog.Later)
		s.inFlight += float64(l.inFlight)
		s.rate += l.rate
		s.anchor += l.anchor
		s.paused = max(s.paused, l.pausedUntil.Sub(now).Seconds())
		s.lastCall = max(s.lastCall, float64(l.lastCall.Unix()))
		s.usersPerCall = max(s.usersPerCall, float64(l.usersPerCall))
	}
	return sums
}

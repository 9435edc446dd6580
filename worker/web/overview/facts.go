package overview

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/waiting"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// Facts holds what an Overview is made from.
type Facts struct {
	Now     time.Time // by Redis's clock
	Version string
	Numbers []NumberFacts
	More    int // phone number IDs that were not looked at
	Workers []fleet.Worker
	// Silent is set where workers run that can't write that they do.
	Silent bool
	Pauses []pause.Pause
	Events []audit.Event
	Memory Memory
}

// Memory holds what Redis uses of its memory, in bytes; Max is 0 without a bound, or where it is not known.
type Memory struct{ Used, Max int64 }

// full reports whether Redis refuses writes, or is about to.
func (m Memory) full() bool { return m.Max > 0 && m.Used >= m.Max/100*99 }

// NumberFacts holds what is known of a phone number ID.
type NumberFacts struct {
	ID       string
	Backlog  ledger.Backlog
	Series   figures.Series
	Limit    ratelimit.Snapshot
	Jobs     []tasks.JobStatus
	Dead     []ledger.DeadCode
	DeadLeft int // dead users who are not in Dead
	// LastRun is the last run of the reconciliation, nil for none, and Listed the last one that read the whole list.
	LastRun, Listed *reconcile.Record
	// Pin and Cap are the events in which the rate was pinned and capped, zero where it is not known.
	Pin, Cap audit.Event
	// Planned counts the users whose requests are put off.
	Planned int
}

// The bounds of an Overview's lists.
const (
	maxNotices = 30
	maxJobs    = 20
	maxWorkers = 50
	maxCodes   = 40
)

// Of makes an Overview from facts.
func Of(f Facts) Overview {
	o := Overview{
		At: f.Now.UTC(), Version: f.Version, MorePhoneNumbers: f.More, Attention: []Notice{}, PhoneNumbers: []PhoneNumber{},
		Jobs: []Job{}, Workers: []Worker{}, Events: append([]audit.Event{}, f.Events...),
	}
	o.DeadLetters = deadLetters(f.Numbers)
	o.Attention = append(o.Attention, attention{f}.general()...)
	troubled := map[string]bool{}
	for _, n := range f.Numbers {
		p, notices := f.number(n)
		o.PhoneNumbers = append(o.PhoneNumbers, p)
		o.Attention = append(o.Attention, notices...)
		troubled[p.ID] = len(notices) > 0
	}
	slices.SortFunc(o.PhoneNumbers, func(a, b PhoneNumber) int {
		if troubled[a.ID] != troubled[b.ID] {
			return map[bool]int{true: -1, false: 1}[troubled[a.ID]]
		}
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	order := []Severity{Stopped, Warning, Note}
	slices.SortStableFunc(o.Attention, func(a, b Notice) int {
		return cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity))
	})
	if more := len(o.Attention) - maxNotices; more > 0 {
		o.Attention = append(o.Attention[:maxNotices], Notice{
			Severity: Note, Text: amounts.Count(more, "more line") + " of this kind are left out.", Next: "See `wablock doctor`, and the table of phone numbers.",
		})
	}
	o.Jobs = jobs(f.Numbers)
	for _, w := range f.Workers[:min(len(f.Workers), maxWorkers)] {
		o.Workers = append(o.Workers, Worker{w.Where(), w.Version, w.GraphHost, w.Since, w.LastCall, len(w.Lanes)})
	}
	return o
}

// jobs returns the jobs that are not done first, then those that were asked for last.
func jobs(numbers []NumberFacts) []Job {
	all := []Job{}
	for _, n := range numbers {
		for _, j := range n.Jobs {
			done := 1.0
			if j.Accepted > 0 {
				done = 1 - float64(j.Pending)/float64(j.Accepted)
			}
			all = append(all, Job{j, math.Floor(done*1000) / 1000})
		}
	}
	rank := func(j Job) int {
		if j.State == tasks.JobWaiting {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b Job) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.RequestedAt.Compare(a.RequestedAt))
	})
	return all[:min(len(all), maxJobs)]
}

func deadLetters(numbers []NumberFacts) DeadLetters {
	d, byCode := DeadLetters{Codes: []Code{}}, map[int]Code{}
	for _, n := range numbers {
		d.LastHour += n.Series.Sum().DeadLettered
		d.NotCounted += n.DeadLeft
		for _, c := range n.Dead {
			d.Users += c.Users
			sum, known := byCode[c.Code]
			if !known {
				sum = CodeOf(c.Code)
			}
			sum.Users += c.Users
			if !known || c.Oldest.Before(sum.Oldest) {
				sum.Oldest = c.Oldest.UTC()
			}
			if c.Newest.After(sum.Newest) {
				sum.Newest = c.Newest.UTC()
			}
			byCode[c.Code] = sum
		}
	}
	d.Users += d.NotCounted
	d.Codes = slices.AppendSeq(d.Codes, maps.Values(byCode))
	slices.SortFunc(d.Codes, func(a, b Code) int { return cmp.Or(cmp.Compare(b.Users, a.Users), cmp.Compare(a.Code, b.Code)) })
	d.Codes = d.Codes[:min(len(d.Codes), maxCodes)]
	return d
}

// CodeOf returns a code of the API in plain words, without users.
func CodeOf(code int) Code {
	c := Code{Code: code, Name: client.CodeName(code)}
	c.Help, c.Redrive = client.Explain(code)
	return c
}

func (f Facts) number(n NumberFacts) (PhoneNumber, []Notice) {
	hour := n.Series.Sum()
	p := PhoneNumber{
		ID:      n.ID,
		Waiting: Waiting{n.Backlog.Interactive, n.Backlog.Bulk, n.Backlog.Reconcile, n.Backlog.Later},
		Limit: Limit{
			Rate: n.Limit.Rate, Learnt: n.Limit.Learnt, Anchor: n.Limit.Anchor, Ceiling: n.Limit.Ceiling,
			Pinned: n.Limit.Pinned, PinnedBy: n.Pin.By, PinnedAt: n.Pin.At, Capped: n.Limit.Capped, CappedBy: n.Cap.By, CappedAt: n.Cap.At,
			PausedUntil: n.Limit.PausedUntil,
		},
		UsersPerCall: n.Limit.MaxUsers,
		LastMinute:   n.Series.LastMinute(), LastHour: hour, Minutes: n.Series.Minutes,
		Planned: n.Planned, Dead: n.DeadLeft, DeadCodes: n.Dead,
	}
	if p.Minutes == nil {
		p.Minutes = []figures.Minute{}
	}
	for _, c := range n.Dead {
		p.Dead += c.Users
	}
	if n.Backlog.Oldest > 0 {
		p.Oldest = n.Backlog.Oldest.Time().UTC()
	}
	if hour.Calls > 0 {
		p.Limit.Refused = min(1, math.Round(float64(hour.Refusals)/float64(hour.Calls)*1000)/1000)
		p.MeanUsersPerCall = math.Round(float64(hour.Settled())/float64(hour.Calls)*10) / 10
	}
	if r := n.LastRun; r != nil {
		p.Reconciliation = reconciliation(*r)
	}
	if r := n.Listed; r != nil {
		p.Blocklist = &Blocklist{r.Actual, plan.Capacity, r.EndedAt}
	}
	a := attention{f}
	s := a.standing(n, p)
	p.State, p.Text, p.Since, p.NextTrial = s.state, s.text, s.since, s.next
	if p.State == Running {
		p.ExpectedAt = f.expected(n, p)
	}
	return p, a.notices(n, p, s)
}

func reconciliation(r reconcile.Record) *Reconciliation {
	text := amounts.Count(r.Actual, "user") + " on the list, " + amounts.Thousands(r.ToBlock) + " to block, " + amounts.Thousands(r.ToUnblock) + " to unblock"
	switch {
	case r.Error != "":
		text = "failed: " + r.Error
	case !r.Good():
		text += "; stopped by " + amounts.Count(len(r.Guards), "guard")
	case r.Applied:
		text += "; applied"
	}
	return &Reconciliation{At: r.EndedAt, Good: r.Good(), Text: text, Applied: r.Applied}
}

// expected returns when what waits now will have gone out, as status and job would say it of the last one.
func (f Facts) expected(n NumberFacts, p PhoneNumber) time.Time {
	if p.Waiting.InLine() == 0 {
		return time.Time{}
	}
	learnt := fleet.Lane{Pace: n.Limit.Rate, UsersPerCall: n.Limit.MaxUsers} // which lanes that make no calls don't tell
	return waiting.Facts{Now: f.Now, Lanes: append(fleet.LanesOf(f.Workers, n.ID), learnt)}.DoneBy(p.Waiting.InLine(), n.Limit.PausedUntil)
}

// Package waiting says what a pending user waits for, in one word, in a sentence, and until when. The decision is pure:
// it takes what is known of a phone number ID (Facts) and of the user. Status, job, the messages of deferred tasks, doctor and
// logs have their words from here.
package waiting

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
)

// Cause is the name of the thing that keeps a user pending.
type Cause string

// The causes, in the order in which they are looked for.
const (
	Window    Cause = "window"     // the user has to write first
	Paused    Cause = "paused"     // an operator has stopped the calls
	NoWorker  Cause = "no_worker"  // none runs
	Halted    Cause = "halted"     // the API refuses token, account or settings
	Outage    Cause = "outage"     // the API fails all calls
	ListFull  Cause = "list_full"  // blocks wait for room
	RateLimit Cause = "rate_limit" // the API, an operator or a low ceiling holds calls back
	Retry     Cause = "retry"      // the next attempt is not due
	InLine    Cause = "in_line"    // others are served first
)

// WindowText goes with Window.
const WindowText = "the user has not written to this phone number in the last 24 hours, and is asked for again once that happens, as soon as a webhook, `wablock heard` or POST /v1/heard tells so"

// Reason explains why a user waits.
type Reason struct {
	For  Cause
	Text string // with the next step; without a user
	// ExpectedAt is about when the user's call goes out; zero while that is not known.
	ExpectedAt time.Time
}

// Facts hold all that a decision needs of one phone number ID.
type Facts struct {
	PhoneNumberID string
	Now           time.Time
	Pauses        []pause.Pause // that hold for it
	Workers       int           // that run
	Silent        bool          // workers run that can't write what they do
	Lanes         []fleet.Lane  // theirs, of the phone number ID
	Ceiling       fleet.Ceiling // configured, the least of the workers'; zero while none is known
}

// User holds all that a decision needs of a user that waits.
type User struct {
	Operation ledger.Operation
	Attempts  int  // that failed
	Code      int  // of the API, with the last failure; 0 for none
	Busy      bool // a call for an older request holds it
	ledger.Place
}

// slowCall is the time until the next call from which that is what a user waits for.
const slowCall = time.Second

// staleFigures is the age that a worker's figures may have: its heartbeat, and some.
const staleFigures = 5 * time.Second

// Of decides what a user waits for.
func (f Facts) Of(u User) Reason {
	l, known := f.Lane(u.Operation)
	if p, ok := pause.Stops(f.Pauses, f.PhoneNumberID, u.Operation); ok {
		return f.paused(p, u)
	}
	switch {
	case f.Silent:
		return Reason{For: NoWorker, Text: "no worker can write what it does: Redis is full; raise its maxmemory, or free memory"}
	case f.Workers == 0:
		return Reason{For: NoWorker, Text: "no worker is running: start one with `wablock worker`"}
	case known && l.State == fleet.Halted:
		return Reason{For: Halted, Text: Stopped(l)}
	case known && l.State == fleet.Outage:
		return Reason{For: Outage, Text: Stopped(l)}
	case known && l.State == fleet.Full && u.Operation == ledger.Block:
		return Reason{For: ListFull, Text: Stopped(l)}
	case u.Busy:
		r := Reason{For: InLine, Text: "a call for an earlier request of the user is under way"}
		if u.Due.After(f.Now) {
			r.ExpectedAt = u.Due // at the latest
		}
		return r
	case !u.InLine && u.Due.After(f.Now) && !(u.Attempts == 0 && f.refused(l)):
		return f.retry(u)
	case f.limited(l):
		return Reason{For: RateLimit, Text: f.limitText(l) + f.lineText(u), ExpectedAt: f.expected(u)}
	}
	return f.inLine(u, known)
}

// Lane returns the lane that tells most of an operation: the one whose calls stopped last, unless another's were served since.
func (f Facts) Lane(op ledger.Operation) (lane fleet.Lane, known bool) {
	var stopped, running fleet.Lane
	for _, l := range f.Lanes {
		switch {
		case l.State == fleet.Running, l.State == fleet.Full && op != ledger.Block:
			if running.PhoneNumberID == "" || l.LastServed.After(running.LastServed) {
				running = l
			}
		case stopped.PhoneNumberID == "" || l.Since.After(stopped.Since):
			stopped = l
		}
	}
	switch {
	case stopped.PhoneNumberID == "":
		return running, running.PhoneNumberID != ""
	case stopped.State != fleet.Full && running.LastServed.After(stopped.Since):
		return running, true
	}
	return stopped, true
}

func (f Facts) paused(p pause.Pause, u User) Reason {
	r := Reason{For: Paused, Text: p.String()}
	if f.Workers == 0 {
		r.Text += "; and no worker is running"
	} else if !p.Until.IsZero() {
		if d, ok := f.takes(u.Ahead.Sum()); ok {
			r.ExpectedAt = p.Until.Add(d).UTC().Truncate(time.Second)
		}
	}
	return r
}

func (f Facts) retry(u User) Reason {
	r := Reason{For: Retry, ExpectedAt: u.Due.UTC(), Text: "put back in line, to be tried again"}
	if u.Attempts > 0 {
		r.Text = fmt.Sprintf("attempt %d failed%s: tried again", u.Attempts, codeText(u.Code))
	}
	r.Text += " at " + stamp(u.Due)
	return r
}

func (f Facts) inLine(u User, known bool) Reason {
	if !known {
		return Reason{For: InLine, Text: fmt.Sprintf("in line: none of the %s has taken up this phone number yet", amounts.Count(f.Workers, "worker"))}
	}
	return Reason{For: InLine, Text: strings.TrimPrefix(f.lineText(u), "; "), ExpectedAt: f.expected(u)}
}

// lineText describes a user's place in line, and the pace of the line.
func (f Facts) lineText(u User) string {
	text := "; first in line"
	if n := f.ahead(u); n > 1 {
		text = fmt.Sprintf("; in line behind up to %s", amounts.Count(n-1, "user"))
	}
	if calls, perCall := f.pace(); calls > 0 {
		text += fmt.Sprintf(", at %s of up to %s", perSecond(calls), amounts.Count(perCall, "user"))
	}
	return text
}

// ahead counts those that are served before a user, and the user: blocks don't count where they can't go.
func (f Facts) ahead(u User) int {
	a := u.Ahead
	if u.Operation == ledger.Unblock && f.blocksStop() {
		a.Block = 0
	}
	return max(1, a.Sum())
}

func (f Facts) blocksStop() bool {
	for _, p := range f.Pauses {
		if p.Operation == ledger.Block {
			return true
		}
	}
	for _, l := range f.Lanes {
		if l.State == fleet.Full {
			return true
		}
	}
	return false
}

// OfJob decides what the last user of a job waits for, with so many users in line up to the job's.
func (f Facts) OfJob(j Job, ahead ledger.Ahead) Reason {
	if j.Due.After(f.Now) {
		r := Reason{Text: "planned for " + stamp(j.Due)}
		if d, ok := f.takes(j.Users); ok {
			r.ExpectedAt = j.Due.Add(d).UTC().Truncate(time.Second)
		}
		return r
	}
	r := f.Of(User{Operation: j.Operation, Place: ledger.Place{InLine: true, Ahead: ahead}})
	if ahead.Sum() == 0 && r.For == InLine {
		return Reason{For: InLine, Text: "in a call, or waiting for the next attempt"}
	}
	return r
}

func (f Facts) expected(u User) time.Time {
	l, _ := f.Lane(u.Operation)
	return f.DoneBy(f.ahead(u), l.LimitedUntil)
}

// DoneBy returns about when so many users in line will have gone out, of which no call goes before held; zero while that is not
// known.
func (f Facts) DoneBy(users int, held time.Time) time.Time {
	d, ok := f.takes(users)
	if !ok {
		return time.Time{}
	}
	return f.Now.Add(max(d+max(0, held.Sub(f.Now)), time.Second)).UTC().Truncate(time.Second)
}

// takes returns about how long so many users take: by the limiter's pace, or by the pace at which they have gone of
// late, if that is slower.
func (f Facts) takes(users int) (time.Duration, bool) {
	rate, perCall := f.pace()
	if rate <= 0 {
		return 0, false
	}
	calls := math.Ceil(float64(users) / float64(perCall))
	s := max(0, calls-1) / rate
	flow := 0.0
	for _, l := range f.Lanes {
		flow += l.UsersPerSecond
	}
	if flow > 0 {
		s = max(s, float64(users)/flow)
	}
	const longest = 10 * 365 * 24 * time.Hour
	return min(time.Duration(min(s, longest.Seconds())*float64(time.Second)), longest), true
}

// pace returns the rate in force, in calls a second, and the users that go into one; 0 while it is not known.
func (f Facts) pace() (calls float64, perCall int) {
	for _, l := range f.Lanes {
		if l.Pace > 0 && (calls == 0 || l.Pace < calls) {
			calls = l.Pace
		}
		if l.UsersPerCall > 0 && (perCall == 0 || l.UsersPerCall < perCall) {
			perCall = l.UsersPerCall
		}
	}
	if f.Ceiling.Rate > 0 {
		calls = min(calls, f.Ceiling.Rate)
	}
	return calls, max(1, cmp.Or(perCall, f.Ceiling.MaxUsers))
}

// refused reports whether the API has refused calls for their rate, and they wait for that.
func (f Facts) refused(l fleet.Lane) bool {
	return (l.Limit == "paused" || l.Limit == "probing") && l.LimitedUntil.Add(staleFigures).After(f.Now)
}

// limited reports whether calls are held back by more than the line.
func (f Facts) limited(l fleet.Lane) bool {
	return f.refused(l) || l.Pinned > 0 || l.Capped > 0 && l.Pace >= l.Capped || l.LimitedUntil.Sub(f.Now) >= slowCall
}

func (f Facts) limitText(l fleet.Lane) string {
	switch {
	case f.refused(l) && l.Limit == "probing":
		return "rate limit: one call at a time goes, until the API serves one"
	case f.refused(l):
		return "rate limit: the API has refused calls; the next one goes at " + stamp(l.LimitedUntil)
	case l.Pinned > 0:
		return fmt.Sprintf("rate limit: an operator has pinned the rate at %s, until `wablock limits release`", perSecond(l.Pinned))
	case l.Capped > 0 && l.Pace >= l.Capped:
		return fmt.Sprintf("rate limit: an operator has capped the rate at %s, until `wablock limits release`", perSecond(l.Capped))
	}
	text := "rate limit: the next call goes at " + stamp(l.LimitedUntil)
	if c := f.Ceiling.Rate; c > 0 && l.Pace >= c {
		text += fmt.Sprintf(", since WABLOCK_RATE allows %s", perSecond(c))
	}
	return text
}

// Stopped describes a lane whose calls don't go, with the next step; "" for one that is running.
func Stopped(l fleet.Lane) string {
	since, trial := "", ""
	if !l.Since.IsZero() {
		since = " since " + stamp(l.Since)
	}
	if !l.NextTrial.IsZero() {
		trial = " The next trial is at " + stamp(l.NextTrial) + "."
	}
	switch l.State {
	case fleet.Halted:
		return fmt.Sprintf("halted%s: the API refuses all calls: %s%s. %s%s", since, l.Reason, codeText(l.Code), sentence(l.Help), trial)
	case fleet.Outage:
		return fmt.Sprintf("outage%s: the API fails all calls: %s%s. %s%s", since, l.Reason, codeText(l.Code), sentence(l.Help), trial)
	case fleet.Full:
		return fmt.Sprintf("the blocklist is full%s%s: blocks wait, unblocks go on. Unblock users to make room.%s", since, codeText(l.Code), trial)
	case fleet.Running:
	}
	return ""
}

// sentence ends a text of others with a full stop.
func sentence(s string) string {
	if s = strings.TrimRight(strings.TrimSpace(s), "."); s == "" {
		return "Its work is kept."
	}
	return s + "."
}

func codeText(code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprintf(" (code %d)", code)
}

func perSecond(rate float64) string {
	if rate == 1 {
		return "1 call a second"
	}
	return fmt.Sprintf("%.3g calls a second", rate)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Package history judges what happened in a run under faults: whether what was accepted, what
// the API was asked for, and what is left in the end fit together.
//
// It knows no more than an onlooker: the producers' own notes of what they asked for and what
// they were told, the simulated API's journal and list, the ledger's last word, and the
// dead-letter queue.
package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// User names a user of one phone number ID.
type User struct{ PhoneNumberID, Number string }

// Request is one request for one user.
type Request struct {
	JobID     string
	Operation ledger.Operation
	// Began is when the producer was first asked for it.
	Began time.Time
	// Accepted says that a producer call for it succeeded. Otherwise it is ambiguous: the call
	// failed, or its process died, and it may have been taken or not.
	Accepted bool
	Version  ledger.Version // of an accepted one
}

// Stop is a time for which a worker process stood still while the clocks went on.
type Stop struct{ From, To time.Time }

// Run is all that is known of a run. Nothing may be in flight any more.
type Run struct {
	// Requests are, per user, in the order in which they were made: one was answered, or given
	// up, before the next began.
	Requests map[User][]Request
	Calls    []simulator.Call
	// Lists holds who is on the list of each phone number ID, as wa_ids.
	Lists map[string][]string
	// Entries is the ledger's last word on each user in Requests.
	Entries map[User]ledger.Entry
	// Dead are the users in the dead-letter queue, as often as they stand there.
	Dead []User
	// Doomed are the users whose blocking the API refuses for good.
	Doomed map[User]bool
	// Stops are those that outlasted a claim, and Grace how long after one a call that was
	// begun before it may still arrive: the request's timeout, and some.
	Stops []Stop
	Grace time.Duration
}

// Report is the verdict.
type Report struct {
	// Problems break a promise; each names its user.
	Problems []Problem
	// Explained are those that would, but for a worker that stood still for longer than its
	// claim: that is not promised.
	Explained []Problem
	Requests  int // for single users
	Accepted  int
	Ambiguous int
	Users     int
	Calls     int
	Dead      int
}

// Problem is something that must not be.
type Problem struct {
	User User
	What string
}

func (p Problem) String() string {
	return fmt.Sprintf("user %s of %s: %s", p.User.Number, p.User.PhoneNumberID, p.What)
}

// judge gathers problems.
type judge struct {
	Run
	report  Report
	calls   map[User][]simulator.Call // in the order in which they began
	applied map[User][]simulator.Call // those that did something for the user
	listed  map[User]bool
	dead    map[User]int
}

// Check judges a run.
func Check(r Run) Report {
	j := &judge{Run: r, calls: map[User][]simulator.Call{}, applied: map[User][]simulator.Call{}, listed: map[User]bool{}, dead: map[User]int{}}
	j.index()
	for user, requests := range r.Requests {
		j.report.Users++
		j.counted(requests)
		j.user(user, requests)
	}
	for user := range j.calls {
		if len(r.Requests[user]) == 0 {
			j.problem(user, "was in a call, and nobody asked for it")
		}
	}
	for user, n := range j.dead {
		if n > 1 {
			j.problem(user, "stands %d times in the dead-letter queue", n)
		}
	}
	j.overlaps()
	slices.SortFunc(j.report.Problems, func(a, b Problem) int {
		if a.User.Number < b.User.Number {
			return -1
		}
		return 1
	})
	return j.report
}

func (j *judge) index() {
	calls := slices.Clone(j.Run.Calls)
	slices.SortFunc(calls, func(a, b simulator.Call) int { return int(a.Begun - b.Begun) })
	j.report.Calls = len(calls)
	for _, c := range calls {
		for _, u := range c.Users {
			user := User{c.PhoneNumberID, u.User}
			j.calls[user] = append(j.calls[user], c)
			if u.Outcome == simulator.OutcomeSucceeded {
				j.applied[user] = append(j.applied[user], c)
			}
		}
	}
	for id, list := range j.Lists {
		for _, waID := range list {
			j.listed[User{id, "+" + waID}] = true
		}
	}
	for _, user := range j.Run.Dead {
		j.dead[user]++
		j.report.Dead++
	}
}

func (j *judge) counted(requests []Request) {
	j.report.Requests += len(requests)
	for _, r := range requests {
		if r.Accepted {
			j.report.Accepted++
		} else {
			j.report.Ambiguous++
		}
	}
}

func (j *judge) problem(user User, format string, args ...any) {
	j.report.Problems = append(j.report.Problems, Problem{user, fmt.Sprintf(format, args...)})
}

// late is problem for what a call that came late can bring about.
func (j *judge) late(user User, at []time.Time, format string, args ...any) {
	for _, t := range at {
		if j.excused(t, t) {
			j.report.Explained = append(j.report.Explained, Problem{user, fmt.Sprintf(format, args...)})
			return
		}
	}
	j.problem(user, format, args...)
}

// excused reports whether a worker stood still, or had just gone on, between two times.
func (j *judge) excused(from, to time.Time) bool {
	for _, s := range j.Stops {
		if from.Before(s.To.Add(j.Grace)) && to.After(s.From) {
			return true
		}
	}
	return false
}

// Package history checks what happened in a run under faults: whether what was accepted, what
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
	// Began is the time at which the producer was first asked for it.
	Began time.Time
	// Accepted says that a producer call for it succeeded. Otherwise it is ambiguous: the call
	// failed, or its process died, and it may have been taken or not.
	Accepted   bool
	AcceptedAt time.Time
	Version    ledger.Version // of an accepted one
	// Ends is the end of a timed block; zero for none.
	Ends time.Time
	// Steered is the time at which it was first tried to cancel or undo the job; zero for never. The request may
	// have been withdrawn since. By an answer, it was withdrawn by Withdrawn; zero for none.
	Steered, Withdrawn time.Time

	due time.Time // of the end of a timed block
}

// Stop is a time for which a worker process stood still while the clocks went on.
type Stop struct{ From, To time.Time }

// Loss is a time of which Redis has lost what was written, by a failover to a replica that lagged.
type Loss struct{ From, To time.Time }

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
	// Losses are the times that Redis has lost. Calls that were made in one may be made again, after the
	// opposite, and beside those that the other memory of Redis leads to: what Stops explain, they do too.
	Losses Losses
	// Jobs are all that are kept, Pauses and Protections all that there were.
	Jobs        []Job
	Pauses      []Pause
	Protections []Protection
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
	Lost      int // accepted ones that the ledger does not have, and that Redis may have lost
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

// checker gathers problems.
type checker struct {
	Run
	report  Report
	calls   map[User][]simulator.Call // in the order in which they began
	applied map[User][]simulator.Call // those that did something for the user
	listed  map[User]bool
	dead    map[User]int
}

// Check compares a run with the promises.
func Check(r Run) Report {
	k := &checker{Run: r, calls: map[User][]simulator.Call{}, applied: map[User][]simulator.Call{}, listed: map[User]bool{}, dead: map[User]int{}}
	k.index()
	for user, requests := range r.Requests {
		k.report.Users++
		k.counted(requests, k.Entries[user].Version)
		k.user(user, withEnds(requests))
	}
	k.report.Problems = append(k.report.Problems, slices.Concat(jobProblems(r), pauseProblems(r), protectionProblems(r))...)
	for user := range k.calls {
		if len(r.Requests[user]) == 0 {
			k.problem(user, "was in a call that was never requested")
		}
	}
	for user, n := range k.dead {
		if n > 1 {
			k.problem(user, "stands %d times in the dead-letter queue", n)
		}
	}
	k.overlaps()
	slices.SortFunc(k.report.Problems, func(a, b Problem) int {
		if a.User.Number < b.User.Number {
			return -1
		}
		return 1
	})
	return k.report
}

func (k *checker) index() {
	calls := slices.Clone(k.Run.Calls)
	slices.SortFunc(calls, func(a, b simulator.Call) int { return int(a.Begun - b.Begun) })
	k.report.Calls = len(calls)
	for _, c := range calls {
		for _, u := range c.Users {
			user := User{c.PhoneNumberID, u.User}
			k.calls[user] = append(k.calls[user], c)
			if u.Outcome == simulator.OutcomeSucceeded {
				k.applied[user] = append(k.applied[user], c)
			}
		}
	}
	for id, list := range k.Lists {
		for _, waID := range list {
			k.listed[User{id, "+" + waID}] = true
		}
	}
	for _, user := range k.Run.Dead {
		k.dead[user]++
		k.report.Dead++
	}
}

func (k *checker) counted(requests []Request, has ledger.Version) {
	k.report.Requests += len(requests)
	for _, r := range requests {
		if r.Accepted {
			k.report.Accepted++
			if r.Version > has && k.Losses.MayHold(r) {
				k.report.Lost++
			}
		} else {
			k.report.Ambiguous++
		}
	}
}

func (k *checker) problem(user User, format string, args ...any) {
	k.report.Problems = append(k.report.Problems, Problem{user, fmt.Sprintf(format, args...)})
}

// late is problem for what a call that came late can bring about.
func (k *checker) late(user User, at []time.Time, format string, args ...any) {
	for _, t := range at {
		if k.excused(t, t) {
			k.report.Explained = append(k.report.Explained, Problem{user, fmt.Sprintf(format, args...)})
			return
		}
	}
	k.problem(user, format, args...)
}

// excused reports whether a worker stood still, or had just gone on, between two times.
func (r Run) excused(from, to time.Time) bool {
	for _, s := range r.Stops {
		if from.Before(s.To.Add(r.Grace)) && to.After(s.From) {
			return true
		}
	}
	for _, l := range r.Losses {
		if from.Before(l.To.Add(r.Grace)) && to.After(l.From) {
			return true
		}
	}
	return false
}

// user checks one user's history.
func (k *checker) user(user User, requests []Request) {
	last := k.lastAccepted(requests)
	k.order(user, requests)
	e := k.Entries[user]
	if e.State == ledger.Unknown {
		if last >= 0 {
			k.problem(user, "an accepted request has left no trace in the ledger")
		}
		if done := k.applied[user]; k.listed[user] && len(done) > 0 {
			k.late(user, []time.Time{done[len(done)-1].Begin, done[len(done)-1].End}, "was withdrawn, and is on the list")
		}
		return
	}
	if !e.State.Ended() || e.Busy {
		k.problem(user, "has no end: %v, busy %v", e.State, e.Busy)
		return
	}
	k.lastWins(user, requests, last, e)
	k.list(user, e)
	k.deadLetter(user, e)
}

// lastAccepted returns the last request that must have been kept, -1 for none.
func (k *checker) lastAccepted(requests []Request) int {
	for i, r := range slices.Backward(requests) {
		if k.Losses.keeps(r) {
			return i
		}
	}
	return -1
}

// lastWins holds the ledger's last word against the last accepted request, or an ambiguous one
// after it.
func (k *checker) lastWins(user User, requests []Request, last int, e ledger.Entry) {
	if last >= 0 && e.Version == requests[last].Version && e.Operation == requests[last].Operation {
		return
	}
	if last >= 0 && e.Version <= requests[last].Version {
		k.problem(user, "ended with %s at version %d, the last accepted request was %s at %d",
			e.Operation, e.Version, requests[last].Operation, requests[last].Version)
		return
	}
	for _, r := range requests[last+1:] {
		if r.Operation == e.Operation {
			return
		}
	}
	k.problem(user, "ended with %s at version %d, which was never requested since the last accepted request", e.Operation, e.Version)
}

// list holds the list against the ledger, and against what the calls did.
func (k *checker) list(user User, e ledger.Entry) {
	done := k.applied[user]
	if k.omittedInLoss(user) {
		k.report.Explained = append(k.report.Explained, Problem{user, "a call that Redis has lost may have changed the list"})
		return
	}
	want := len(done) > 0 && done[len(done)-1].Operation == simulator.Block
	if k.listed[user] != want {
		k.problem(user, "on the list: %v; by the journal: %v", k.listed[user], want)
	}
	if e.State != ledger.Succeeded || k.listed[user] == (e.Operation == ledger.Block) {
		return
	}
	var at []time.Time
	if len(done) > 0 {
		at = append(at, done[len(done)-1].Begin, done[len(done)-1].End)
	}
	k.late(user, at, "the ledger says that %s succeeded; on the list: %v", e.Operation, k.listed[user])
}

// omittedInLoss reports whether the user's last call that may have done something was left out of its answer, and its
// request may be lost: else it would have been called again.
func (k *checker) omittedInLoss(user User) bool {
	for _, c := range slices.Backward(k.calls[user]) {
		i := slices.IndexFunc(c.Users, func(u simulator.CallUser) bool { return u.User == user.Number })
		switch c.Users[i].Outcome {
		case simulator.OutcomeSucceeded:
			return false
		case simulator.OutcomeOmitted:
			for _, l := range k.Losses {
				if c.Begin.Before(l.To) && c.End.After(l.From) {
					return true
				}
			}
			return false
		default:
		}
	}
	return false
}

// deadLetter holds the dead-letter queue against the ledger, and the ledger against who must
// die.
func (k *checker) deadLetter(user User, e ledger.Entry) {
	switch dead := e.State == ledger.Dead; {
	case dead != (k.dead[user] > 0):
		k.problem(user, "dead by the ledger: %v; in the dead-letter queue: %v", dead, k.dead[user] > 0)
	case !dead && e.Operation == ledger.Block && protectedFrom(k.Protections, user, k.Requests[user][0].Began):
		k.problem(user, "is protected, and its block is not dead")
	case wasProtected(k.Protections, user): // a block may have died of that, or not
	case dead != (k.Doomed[user] && e.Operation == ledger.Block):
		k.problem(user, "dead: %v, though %s", dead, e.Operation)
	}
}

// order holds the calls against the requests: going through them, each call must carry out the
// same request as the one before or a later one, which had been made by then.
func (k *checker) order(user User, requests []Request) {
	at := 0
	for _, c := range k.calls[user] {
		found := k.carriesOut(c, requests, at)
		if found < 0 {
			found = k.carriesOut(c, requests, k.beforeLoss(requests, at, c.Begin))
		}
		if found < 0 {
			found = k.carriesOut(c, requests, beforeWithdrawn(requests, at, c.Begin))
		}
		if found < 0 {
			k.late(user, []time.Time{c.Begin, c.End}, "call %d (%s) carries out a request that a later one has superseded, or that was never made", c.Seq, c.Operation)
			continue
		}
		at = found
	}
}

// carriesOut returns the first request from one on that a call may carry out, -1 for none.
func (k *checker) carriesOut(c simulator.Call, requests []Request, from int) int {
	for i := from; i < len(requests); i++ {
		r := requests[i]
		if r.Began.After(c.Begin) || r.due.After(c.Begin) || string(r.Operation) != string(c.Operation) || withdrawn(k.Losses, r, c.Begin.Add(-k.Grace)) {
			continue
		}
		return i
	}
	return -1
}

// beforeLoss returns the request that a call may go back to where those up to requests[at] may have been lost before
// it began.
func (k *checker) beforeLoss(requests []Request, at int, begin time.Time) int {
	before := Losses(slices.DeleteFunc(slices.Clone(k.Losses), func(l Loss) bool { return l.From.After(begin) }))
	for at > 0 && (before.MayHold(requests[at]) || requests[at].due.After(begin)) {
		at--
	}
	return at
}

// overlaps looks for users in two calls of different operations at once. One is repeated beside a call of its own kind
// when that one's worker is taken for dead.
func (k *checker) overlaps() {
	bySeq := map[int64]simulator.Call{}
	for _, c := range k.Run.Calls {
		bySeq[c.Seq] = c
	}
	for _, o := range simulator.Overlaps(k.Run.Calls) {
		first, second := bySeq[o.First], bySeq[o.Second]
		if first.Operation == second.Operation {
			continue
		}
		p := User{o.PhoneNumberID, o.User}
		k.late(p, []time.Time{first.End, second.Begin}, "was in two calls of different operations at once, %d and %d", o.First, o.Second)
	}
}

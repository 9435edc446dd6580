package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// Job is a job as the ledger has it in the end, and what was told of its cancel.
type Job struct {
	PhoneNumberID string
	ledger.JobRecord
	Users []User
	// Told counts the users of it that a cancel has withdrawn, by its answer: -1 for no answer, or one that Redis may have lost.
	Told int
}

// Pause is a time for which the calls of an operation ("" for both) of a phone number ID ("" for all) had to stand still.
type Pause struct {
	PhoneNumberID string
	Operation     ledger.Operation
	From, To      time.Time
}

// Protection is a time for which a user was protected; To is zero for one that lasts.
type Protection struct {
	User     User
	From, To time.Time
}

// withdrawn reports whether a request had been withdrawn at a time, for certain.
func withdrawn(l Losses, q Request, at time.Time) bool {
	if q.Withdrawn.IsZero() || q.Withdrawn.After(at) {
		return false
	}
	return !l.MayHold(Request{Began: q.Steered, Accepted: true, AcceptedAt: q.Withdrawn})
}

// withEnds returns requests with the end of each timed block behind it: a request at the next version.
func withEnds(requests []Request) []Request {
	all := make([]Request, 0, len(requests))
	for _, r := range requests {
		all = append(all, r)
		if r.Ends.IsZero() {
			continue
		}
		r.Operation, r.Version, r.due, r.Ends = ledger.Unblock, r.Version+1, r.Ends, time.Time{}
		all = append(all, r)
	}
	return all
}

// beforeWithdrawn returns the request that a call may go back to where those up to requests[at] may have been withdrawn
// before it began: what there was before comes back.
func beforeWithdrawn(requests []Request, at int, begin time.Time) int {
	for at > 0 && (!requests[at].Steered.IsZero() && requests[at].Steered.Before(begin) || requests[at].due.After(begin)) {
		at--
	}
	return at
}

// jobProblems holds the counts of each job that must have been kept against the ends of its users.
func jobProblems(r Run) []Problem {
	sure := map[string]Request{}
	for user, requests := range r.Requests {
		for _, q := range requests {
			if q.Accepted && !r.Losses.MayHold(q) {
				sure[user.PhoneNumberID+" "+q.JobID] = q
			}
		}
	}
	var problems []Problem
	for _, j := range r.Jobs {
		if len(j.Users) == 0 {
			continue // a request that failed, and was not noted
		}
		is := func(format string, args ...any) {
			problems = append(problems, Problem{j.Users[0], fmt.Sprintf("job %s of version %d, %+v: ", j.ID, j.Version, j.Counts) + fmt.Sprintf(format, args...)})
		}
		if q, ok := sure[j.PhoneNumberID+" "+j.ID]; !ok || q.Version != j.Version {
			continue // its version may have been given out again, after Redis had lost that it was
		}
		if j.Counts.Ended() > j.Accepted {
			is("more users ended than the %d that were accepted", j.Accepted)
			continue
		}
		if j.Pending() > 0 {
			is("%d users of %d are pending for good", j.Pending(), j.Accepted)
			continue
		}
		var succeeded, dead, withdrawn, newer int
		for _, u := range j.Users {
			switch e := r.Entries[u]; {
			case e.Version > j.Version:
				newer++
			case e.Version < j.Version:
				withdrawn++
			case e.State == ledger.Succeeded:
				succeeded++
			case e.State == ledger.Dead:
				dead++
			}
		}
		c := j.Counts
		if c.Succeeded < succeeded || c.Succeeded > succeeded+newer || c.Dead < dead || c.Dead > dead+newer || c.Canceled < withdrawn || c.Superseded > newer {
			is("its users have %d succeeded, %d dead, %d withdrawn, %d asked for again", succeeded, dead, withdrawn, newer)
		}
		if j.Told > c.Canceled {
			is("%d were withdrawn, by the answer", j.Told)
		}
	}
	return problems
}

// pauseProblems finds calls that began in a pause, when the last one of before must have begun.
func pauseProblems(r Run) []Problem {
	var problems []Problem
	for _, p := range r.Pauses {
		for _, c := range r.Calls {
			if len(c.Users) == 0 || p.PhoneNumberID != "" && p.PhoneNumberID != c.PhoneNumberID || p.Operation != "" && string(p.Operation) != string(c.Operation) {
				continue
			}
			if c.Begin.After(p.From.Add(r.Grace)) && c.Begin.Before(p.To) && !r.excused(p.From, c.Begin) {
				problems = append(problems, Problem{User{c.PhoneNumberID, c.Users[0].User}, fmt.Sprintf(
					"was in call %d, %v after its %s was paused", c.Seq, c.Begin.Sub(p.From).Round(time.Millisecond), c.Operation)})
			}
		}
	}
	return problems
}

// protectionProblems finds calls to block protected users.
func protectionProblems(r Run) []Problem {
	of := map[User][]Protection{}
	for _, p := range r.Protections {
		of[p.User] = append(of[p.User], p)
	}
	var problems []Problem
	for _, c := range r.Calls {
		if c.Operation != simulator.Block {
			continue
		}
		for _, cu := range c.Users {
			u := User{c.PhoneNumberID, cu.User}
			for _, p := range of[u] {
				if c.Begin.After(p.From.Add(r.Grace)) && (p.To.IsZero() || c.Begin.Before(p.To)) && !r.excused(p.From, c.Begin) {
					problems = append(problems, Problem{u, fmt.Sprintf("was in call %d to block, %v after it was protected", c.Seq, c.Begin.Sub(p.From).Round(time.Millisecond))})
				}
			}
		}
	}
	return problems
}

// wasProtected reports whether the user was protected at any time.
func wasProtected(all []Protection, u User) bool {
	return slices.ContainsFunc(all, func(p Protection) bool { return p.User == u })
}

// protectedFrom reports whether the user was protected at t, and ever since.
func protectedFrom(all []Protection, u User, t time.Time) bool {
	return slices.ContainsFunc(all, func(p Protection) bool { return p.User == u && p.To.IsZero() && p.From.Before(t) })
}

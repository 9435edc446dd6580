package history

import (
	"slices"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
)

// user judges one user's history.
func (j *judge) user(user User, requests []Request) {
	last := lastAccepted(requests)
	j.order(user, requests)
	e := j.Entries[user]
	if e.State == ledger.Unknown {
		if last >= 0 {
			j.problem(user, "an accepted request has left no trace in the ledger")
		}
		return
	}
	if !e.State.Ended() || e.Busy {
		j.problem(user, "has no end: %v, busy %v", e.State, e.Busy)
		return
	}
	j.lastWins(user, requests, last, e)
	j.list(user, e)
	j.deadLetter(user, e)
}

func lastAccepted(requests []Request) int {
	for i, r := range slices.Backward(requests) {
		if r.Accepted {
			return i
		}
	}
	return -1
}

// lastWins holds the ledger's last word against the last accepted request, or an ambiguous one
// after it.
func (j *judge) lastWins(user User, requests []Request, last int, e ledger.Entry) {
	if last >= 0 && e.Version == requests[last].Version && e.Operation == requests[last].Operation {
		return
	}
	if last >= 0 && e.Version <= requests[last].Version {
		j.problem(user, "ended with %s at version %d, the last accepted request was %s at %d",
			e.Operation, e.Version, requests[last].Operation, requests[last].Version)
		return
	}
	for _, r := range requests[last+1:] {
		if r.Operation == e.Operation {
			return
		}
	}
	j.problem(user, "ended with %s at version %d, which nobody asked for since the last accepted request", e.Operation, e.Version)
}

// list holds the list against the ledger, and against what the calls did.
func (j *judge) list(user User, e ledger.Entry) {
	done := j.applied[user]
	want := len(done) > 0 && done[len(done)-1].Operation == simulator.Block
	if j.listed[user] != want {
		j.problem(user, "on the list: %v; by the journal: %v", j.listed[user], want)
	}
	if e.State != ledger.Succeeded || j.listed[user] == (e.Operation == ledger.Block) {
		return
	}
	var at []time.Time
	if len(done) > 0 {
		at = append(at, done[len(done)-1].Begin, done[len(done)-1].End)
	}
	j.late(user, at, "the ledger says that %s succeeded; on the list: %v", e.Operation, j.listed[user])
}

// deadLetter holds the dead-letter queue against the ledger, and the ledger against who must
// die.
func (j *judge) deadLetter(user User, e ledger.Entry) {
	switch dead := e.State == ledger.Dead; {
	case dead != (j.dead[user] > 0):
		j.problem(user, "dead by the ledger: %v; in the dead-letter queue: %v", dead, j.dead[user] > 0)
	case dead != (j.Doomed[user] && e.Operation == ledger.Block):
		j.problem(user, "dead: %v, though %s", dead, e.Operation)
	}
}

// order holds the calls against the requests: going through them, each call must carry out the
// same request as the one before or a later one, which had been made by then.
func (j *judge) order(user User, requests []Request) {
	at := 0
	for _, c := range j.calls[user] {
		found := -1
		for i := at; i < len(requests) && !requests[i].Began.After(c.Begin); i++ {
			if string(requests[i].Operation) == string(c.Operation) {
				found = i
				break
			}
		}
		if found < 0 {
			j.late(user, []time.Time{c.Begin, c.End}, "call %d (%s) carries out what a later request has overtaken, or nobody asked for", c.Seq, c.Operation)
			continue
		}
		at = found
	}
}

// overlaps looks for users in two calls at once.
func (j *judge) overlaps() {
	bySeq := map[int64]simulator.Call{}
	for _, c := range j.Run.Calls {
		bySeq[c.Seq] = c
	}
	for _, o := range simulator.Overlaps(j.Run.Calls) {
		first, second := bySeq[o.First], bySeq[o.Second]
		p := User{o.PhoneNumberID, o.User}
		j.late(p, []time.Time{first.End, second.Begin}, "was in two calls at once, %d and %d", o.First, o.Second)
	}
}

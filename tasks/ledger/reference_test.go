package ledger_test

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// reference is the ledger as a Go program of one thread would have it: what the scripts must
// do, said a second time. Times are no more than "not yet" and "due".
type reference struct {
	users map[user.ID]*refUser
}

type refPlace int

const (
	nowhere refPlace = iota
	inLine
	later
	due
)

type refUser struct {
	id       user.ID
	op       ledger.Operation
	state    ledger.State
	queue    ledger.Queue
	version  ledger.Version
	attempts int
	failed   bool   // there is a first failure at this version
	claim    string // "" for none
	waID     string
	place    refPlace
	turn     ledger.Version // place in line
}

func rank(q ledger.Queue) int { return slices.Index(ledger.Queues(), q) }

func (r *reference) mark(q ledger.Request) ledger.State {
	old := r.users[q.User]
	if old != nil && old.version > q.Version {
		return ledger.Superseded
	}
	if old != nil && old.version == q.Version {
		return old.state
	}
	u := &refUser{id: q.User, op: q.Operation, state: ledger.Waiting, queue: q.Queue, version: q.Version}
	u.place, u.turn = inLine, q.Version
	if old != nil {
		u.waID, u.claim = old.waID, old.claim
		if old.state == ledger.Waiting && rank(old.queue) < rank(u.queue) {
			u.queue = old.queue
		}
		switch {
		case old.claim != "":
			u.place = old.place
		case old.place == inLine:
			u.turn = old.turn
		}
	}
	r.users[q.User] = u
	return ledger.Waiting
}

func (u *refUser) waitInLine() { u.state, u.place, u.turn = ledger.Waiting, inLine, u.version }

func (r *reference) sweep() {
	for _, u := range r.users {
		if u.place == due {
			u.claim = ""
			u.waitInLine()
		}
	}
}

// line returns the users of a line, first the one whose turn it is.
func (r *reference) line(q ledger.Queue, op ledger.Operation) []*refUser {
	var users []*refUser
	for _, u := range r.users {
		if u.place == inLine && u.queue == q && u.op == op {
			users = append(users, u)
		}
	}
	slices.SortFunc(users, func(a, b *refUser) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), cmp.Compare(a.id.Reveal(), b.id.Reveal()))
	})
	return users
}

func (r *reference) choose(ops []ledger.Operation, oldest bool) ledger.Operation {
	var best *refUser
	for _, q := range ledger.Queues() {
		for _, op := range ops {
			if line := r.line(q, op); len(line) > 0 && (best == nil || line[0].turn < best.turn) {
				best = line[0]
			}
		}
		if best != nil && !oldest {
			break
		}
	}
	if best == nil {
		return ""
	}
	return best.op
}

func (r *reference) claim(o ledger.ClaimOptions) ledger.Claim {
	if o.Rest == 0 {
		r.sweep()
	}
	ops := []ledger.Operation{ledger.Block, ledger.Unblock}
	if o.Only != "" {
		ops = []ledger.Operation{o.Only}
	}
	c := ledger.Claim{ID: o.ID}
	var tried []*refUser
	hold := func(u *refUser) {
		u.state, u.claim, u.place = ledger.InFlight, o.ID, later
		c.Users = append(c.Users, ledger.Claimed{User: u.id, Version: u.version, Attempts: u.attempts})
	}
	if op := r.choose(ops, o.Oldest); op != "" {
		c.Operation = op
		for _, q := range ledger.Queues() {
			for _, u := range r.line(q, op) {
				switch {
				case len(c.Users) == o.Max:
				case o.Rest > 0 && u.attempts > 0:
					tried = append(tried, u)
				default:
					hold(u)
				}
			}
		}
	}
	fresh := len(c.Users) > 0
	for _, u := range tried {
		if fresh && len(c.Users) < o.Max {
			hold(u)
		} else {
			u.place = later
			c.Resting++
		}
	}
	if len(c.Users) == 0 {
		c.Operation = ""
	}
	c.Backlog = r.backlog()
	return c
}

// backlog leaves NextDue to a clock.
func (r *reference) backlog() (b ledger.Backlog) {
	for _, u := range r.users {
		if u.place == inLine && (b.Oldest == 0 || u.turn < b.Oldest) {
			b.Oldest = u.turn
		}
		switch {
		case u.place == later || u.place == due:
			b.Later++
		case u.place != inLine:
		case u.queue == ledger.Interactive:
			b.Interactive++
		case u.queue == ledger.Bulk:
			b.Bulk++
		default:
			b.Reconcile++
		}
	}
	return b
}

func (r *reference) renew(id string, c ledger.Claimed, effect ledger.Operation) ledger.State {
	u := r.users[c.User]
	if u == nil || u.claim != id {
		if u.undone(effect) {
			return ledger.Waiting
		}
		return ledger.Unknown
	}
	if u.version != c.Version {
		u.claim = ""
		u.waitInLine()
		return ledger.Superseded
	}
	u.place = later
	return ledger.InFlight
}

// undone lets a user wait for one more call, if a call with this effect may have undone another.
func (u *refUser) undone(effect ledger.Operation) bool {
	if u == nil || effect == "" || u.op == effect {
		return false
	}
	switch {
	case u.state == ledger.Succeeded && u.claim == "":
		u.waitInLine()
	case u.state == ledger.InFlight && !strings.HasPrefix(u.claim, "!"):
		u.claim = "!" + u.claim
	default:
		return false
	}
	return true
}

// refSettled is ledger.Settled without a time.
type refSettled struct {
	State    ledger.State
	Attempts int
	Failed   bool
	Repeats  bool
}

func (r *reference) settle(id string, s ledger.Settlement) refSettled {
	u := r.users[s.User]
	if u == nil || u.claim != id {
		var got refSettled
		switch {
		case u == nil:
		case u.version > s.Version:
			got = refSettled{ledger.Superseded, u.attempts, u.failed, false}
		case u.version == s.Version && (u.state == ledger.Succeeded || u.state == ledger.Dead):
			got = refSettled{u.state, u.attempts, u.failed, false}
		}
		got.Repeats = u.undone(s.Effect)
		return got
	}
	u.claim, u.place = "", nowhere
	if s.WaID != "" {
		u.waID = s.WaID
	}
	if u.version != s.Version {
		u.waitInLine()
		return refSettled{ledger.Superseded, u.attempts, u.failed, false}
	}
	if s.Do == ledger.Retry || s.Do == ledger.Kill {
		u.attempts++
		u.failed = true
	}
	switch {
	case s.Do == ledger.Succeed:
		u.state = ledger.Succeeded
	case s.Do == ledger.Kill:
		u.state = ledger.Dead
	case s.Delay > 0:
		u.state, u.place = ledger.Waiting, later
	default:
		u.waitInLine()
	}
	return refSettled{u.state, u.attempts, u.failed, false}
}

func (r *reference) discard(id user.ID, v ledger.Version) bool {
	u := r.users[id]
	if u == nil || u.version != v || u.state != ledger.Dead {
		return false
	}
	u.state = ledger.Discarded
	return true
}

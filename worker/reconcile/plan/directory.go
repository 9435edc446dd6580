package plan

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// window is the time after a user's message in which a block can succeed.
const window = 24 * time.Hour

// trait is a set of the facts of a record that matter here.
type trait uint16

const (
	wanted        trait = 1 << iota // its last request is a block
	discarded                       // a block that failed and was discarded
	unwanted                        // its last request is an unblock
	unsettled                       // work for it was, or may be, under way since the base
	ourUnblock                      // an unblock of an earlier run, not carried out yet
	ourBlock                        // was blocked by wablock, or adopted
	recentBlock                     // was blocked within the window
	unreadable                      // can't be read
	learntDialled                   // the API told the dialled digits
)

// record is the part of a ledger's entry that is kept.
type record struct {
	version ledger.Version
	learnt  string // WhatsApp ID that the API told, if not the dialled digits
	traits  trait
}

// directory is the knowledge of the ledger, and of tasks that it was not told of, about users: of those who
// are desired or on the list, and of other names of theirs.
type directory struct {
	base       ledger.Version
	actual     *blocklist
	fromLedger bool
	max        int                  // of users desired from the ledger, 0 for no bound
	wants      int                  // how many users are, each once
	given      map[user.ID]struct{} // desired, unless the ledger decides that
	before     map[user.ID]struct{}
	records    map[user.ID]record
	byLearnt   map[string][]user.ID
	// learnt are WhatsApp IDs of desired users that are not their dialled digits.
	learnt  map[string]struct{}
	again   bool // whether records that were passed over may matter
	pending map[user.ID]ledger.Version
	later   map[user.ID]struct{}
	// forms are of users who may be on the list under another form.
	forms forms
}

func newDirectory(in Input, actual *blocklist) *directory {
	return &directory{
		base: in.Base, actual: actual, fromLedger: in.FromLedger, max: in.MaxDesired, given: setOf(in.Desired), before: setOf(in.Before),
		records: map[user.ID]record{}, byLearnt: map[string][]user.ID{}, learnt: map[string]struct{}{},
		pending: in.Pending, later: in.Later, forms: forms{known: map[form]lengths{}},
	}
}

func setOf(users []user.ID) map[user.ID]struct{} {
	set := make(map[user.ID]struct{}, len(users))
	for _, u := range users {
		set[u] = struct{}{}
	}
	return set
}

// read takes in the ledger's records: twice, if the first pass shows that users who came before
// may be other names of desired ones.
func (d *directory) read(records iter.Seq2[ledger.Entry, error]) error {
	for pass := 0; pass == 0 || pass == 1 && d.again; pass++ {
		for e, err := range records {
			if err != nil {
				return err
			}
			d.add(e)
			if d.fromLedger && d.max > 0 && d.wants > d.max {
				return fmt.Errorf("%w: the ledger has more than %d of them, and a blocklist holds %d; "+
					"discard the dead letters of those who need not be blocked, or give the desired list as a file", ErrTooMany, d.max, Capacity)
			}
		}
	}
	for u, r := range d.records {
		if r.learnt != "" {
			d.byLearnt[r.learnt] = append(d.byLearnt[r.learnt], u)
		}
	}
	for u := range d.pending { // the ledger has not been told of them
		d.forms.add(d.person(u))
	}
	return nil
}

func (d *directory) add(e ledger.Entry) {
	r := record{version: e.Version, learnt: e.WaID, traits: d.traitsOf(e)}
	digits := digitsOf(e.User)
	if r.learnt == digits && digits != "" {
		r.learnt, r.traits = "", r.traits|learntDialled
	}
	p := d.personOf(e.User, r)
	if r.traits&(unsettled|unreadable) != 0 || d.pending[e.User] > e.Version {
		d.forms.add(p)
	}
	if d.pending[e.User] <= e.Version {
		delete(d.pending, e.User) // the ledger has been told
	}
	if !d.matters(p, r) {
		return
	}
	had, again := d.records[e.User]
	if again && (had.version > r.version || had.traits&unsettled != 0) {
		return
	}
	if !again && r.traits&wanted != 0 {
		d.wants++
	}
	r.learnt = strings.Clone(r.learnt) // it is part of a longer text
	d.records[e.User] = r
}

// matters reports whether a user is desired or on the list, or may be another name of a user
// who is.
func (d *directory) matters(p *person, r record) bool {
	_, before := d.before[p.user]
	if before || d.desires(p.user, r) {
		if _, had := d.learnt[r.learnt]; r.learnt != "" && !had {
			d.learnt[strings.Clone(r.learnt)] = struct{}{}
			d.again = true
		}
		return true
	}
	_, pending := d.pending[p.user]
	if pending || d.actual.has(p) || d.shared(p.digits) || d.shared(r.learnt) {
		return true
	}
	u, err := user.FromCanonical("+" + r.learnt)
	if err != nil {
		return false
	}
	if _, given := d.given[u]; given || d.is(u, wanted) {
		return true
	}
	d.again = d.again || d.fromLedger
	return false
}

// desires reports whether a user is desired.
func (d *directory) desires(u user.ID, r record) bool {
	if d.fromLedger {
		return r.traits&wanted != 0
	}
	_, given := d.given[u]
	return given
}

func (d *directory) traitsOf(e ledger.Entry) (t trait) {
	has := func(when bool, what trait) {
		if when {
			t |= what
		}
	}
	ended := e.Job.Ends > 0 && e.Job.Ends <= d.base.Time().UnixMilli() // a timed block: it is not wanted any more
	block := e.State != ledger.Unknown && e.Operation == ledger.Block && !ended
	unblock := e.State != ledger.Unknown && (e.Operation == ledger.Unblock || ended)
	open := e.State == ledger.Waiting || e.State == ledger.InFlight
	has(e.State == ledger.Unknown, unreadable)
	has(block && e.State != ledger.Discarded, wanted)
	has(block && e.State == ledger.Discarded, discarded)
	has(unblock, unwanted)
	has(e.Operation == ledger.Unblock && open && e.Queue == ledger.Reconcile, ourUnblock)
	has(e.Operation == ledger.Block && e.State == ledger.Succeeded, ourBlock)
	has(block && e.State == ledger.Succeeded && d.base.Time().Sub(e.SettledAt) < window, recentBlock)
	has(open || e.State != ledger.Unknown && d.since(e), unsettled)
	return t
}

// since reports whether an entry changed, or may change, since the base.
func (d *directory) since(e ledger.Entry) bool {
	return e.Busy || e.Version > d.base || !e.SettledAt.Before(d.base.Time().Truncate(time.Millisecond))
}

// wanted returns the desired users, each once, in order.
func (d *directory) wanted() []user.ID {
	var users []user.ID
	if d.fromLedger {
		for u, r := range d.records {
			if r.traits&wanted != 0 {
				users = append(users, u)
			}
		}
	} else {
		users = slices.Collect(maps.Keys(d.given))
	}
	slices.SortFunc(users, user.Compare)
	return users
}

func (d *directory) person(u user.ID) *person { return d.personOf(u, d.records[u]) }

func (d *directory) personOf(u user.ID, r record) *person {
	p := &person{user: u, learnt: r.learnt, digits: digitsOf(u)}
	if r.traits&learntDialled != 0 {
		p.learnt = p.digits
	}
	if u.IsBSUID() {
		p.bsuid = reveal(u)
	}
	return p
}

func (d *directory) version(u user.ID) ledger.Version { return d.records[u].version }

// is reports whether a user's record has a trait.
func (d *directory) is(u user.ID, t trait) bool { return d.records[u].traits&t != 0 }

func (d *directory) any(users []user.ID, t trait) bool {
	return slices.ContainsFunc(users, func(u user.ID) bool { return d.is(u, t) })
}

// busy reports whether work for a user is under way, or may be.
func (d *directory) busy(u user.ID) bool {
	return d.is(u, unsettled) || d.pending[u] > d.version(u)
}

func (d *directory) anyBusy(users []user.ID) bool { return slices.ContainsFunc(users, d.busy) }

// anyLater reports whether a delayed job will block one of some users.
func (d *directory) anyLater(users []user.ID) bool {
	return slices.ContainsFunc(users, func(u user.ID) bool { _, later := d.later[u]; return later })
}

// shared reports whether two desired users may have one WhatsApp ID.
func (d *directory) shared(waID string) bool {
	_, learnt := d.learnt[waID]
	return learnt
}

// siblings returns the users that a WhatsApp ID, or a BSUID, is known or dialled as.
func (d *directory) siblings(waID, bsuid string) []user.ID {
	var users []user.ID
	if waID != "" {
		users = d.appendKnown(slices.Clone(d.byLearnt[waID]), "+"+waID)
	}
	if bsuid != "" {
		users = d.appendKnown(users, bsuid)
	}
	slices.SortFunc(users, user.Compare)
	return users
}

func (d *directory) appendKnown(users []user.ID, name string) []user.ID {
	u, err := user.FromCanonical(name)
	if err != nil || slices.Contains(users, u) {
		return users
	}
	_, recorded := d.records[u]
	_, pending := d.pending[u]
	if _, later := d.later[u]; recorded || pending || later {
		users = append(users, u)
	}
	return users
}

// name returns the user by which an entry of the list is unblocked or adopted, and the version
// of its record: the number of the latest request, else the WhatsApp ID itself.
func (d *directory) name(waID string, siblings []user.ID) (u user.ID, seen ledger.Version) {
	u, seen = d.newest(u, siblings)
	if u.IsZero() && waID != "" {
		u, _ = user.FromCanonical("+" + waID) // zero when it is not a number
	}
	return u, seen
}

// newest returns u, or the sibling with a later request, with the version of its record.
func (d *directory) newest(u user.ID, siblings []user.ID) (user.ID, ledger.Version) {
	seen := d.version(u)
	for _, s := range siblings {
		if v := d.version(s); !s.IsBSUID() && (u.IsZero() || v > seen) {
			u, seen = s, v
		}
	}
	return u, seen
}

// unwantedSince reports whether a later request under another name is to unblock.
func (d *directory) unwantedSince(u user.ID, siblings []user.ID) bool {
	return slices.ContainsFunc(siblings, func(s user.ID) bool {
		return s != u && d.is(s, unwanted) && d.version(s) > d.version(u)
	})
}

// withdrawable returns those of some names of a person under which an earlier run's unblock is
// still under way. No other requests go through that queue.
func (d *directory) withdrawable(names []user.ID) []user.ID {
	return slices.DeleteFunc(names, func(u user.ID) bool { return !d.is(u, ourUnblock) })
}

// namesOf returns the user, and the other users that are known to be the same person.
func (d *directory) namesOf(p *person) []user.ID {
	names := []user.ID{p.user}
	add := func(waID, bsuid string) {
		for _, u := range d.siblings(waID, bsuid) {
			if !slices.Contains(names, u) {
				names = append(names, u)
			}
		}
	}
	add(p.learnt, p.bsuid)
	add(p.digits, "")
	for _, a := range p.present {
		add(a.entry.WaID, a.entry.UserID)
	}
	return names
}

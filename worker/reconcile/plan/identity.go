package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// The API lists WhatsApp IDs, and people write phone numbers. For most countries they are the
// same digits; for Brazil, Mexico and Argentina among others they are not, and only an answer
// of the API tells what a number's ID is. What was learnt so stands in the ledger. Where it
// does not, the dialled digits are compared, and what could be the same person in another
// form is left on the list.

// reveal returns the name of a user as it stands in files: for comparing and sorting alone.
func reveal(u user.ID) string { return u.Reveal() } //nolint:forbidigo // identities are what is compared here; nothing of it is printed

// digitsOf returns the dialled digits of a phone number, "" for a BSUID.
func digitsOf(u user.ID) string {
	if u.IsZero() || u.IsBSUID() {
		return ""
	}
	return reveal(u)[1:]
}

// person is a user with the names that the list may have for it.
type person struct {
	user    user.ID
	learnt  string // WhatsApp ID that the API told, "" if it never did
	digits  string // as dialled, "" for a BSUID
	bsuid   string // "" for a phone number
	present []*listed
}

// waID is the best guess at how the list names the person, "" when there is none.
func (p *person) waID() string { return cmp.Or(p.learnt, p.digits) }

// listed is one entry of the list.
type listed struct {
	entry   client.Entry
	desired bool
	// was says that the desired list named it when the run began.
	was bool
}

// list is the actual list, by each of its names.
type list struct {
	entries  []*listed
	byWaID   map[string]*listed
	byUserID map[string][]*listed // one person, under however many WhatsApp IDs
}

func newList(entries []client.Entry) *list {
	l := &list{byWaID: make(map[string]*listed, len(entries)), byUserID: map[string][]*listed{}}
	for _, e := range entries {
		a := l.byWaID[e.WaID] // an entry may come twice, and not with the same user ID
		if e.WaID == "" && e.UserID != "" && len(l.byUserID[e.UserID]) > 0 {
			continue
		}
		if a == nil {
			a = &listed{entry: e}
			l.entries = append(l.entries, a)
		}
		if e.WaID != "" {
			l.byWaID[e.WaID] = a
		}
		if e.UserID != "" {
			l.byUserID[e.UserID] = append(l.byUserID[e.UserID], a)
		}
	}
	slices.SortFunc(l.entries, func(a, b *listed) int {
		return cmp.Or(cmp.Compare(a.entry.WaID, b.entry.WaID), cmp.Compare(a.entry.UserID, b.entry.UserID))
	})
	return l
}

// find returns the entries that may be a person's, under whichever name.
func (l *list) find(p *person) []*listed {
	found := slices.Clone(l.byUserID[p.bsuid])
	for _, id := range []string{p.learnt, p.digits} {
		if a := l.byWaID[id]; a != nil {
			found = append(found, a)
		}
	}
	for _, a := range found {
		found = append(found, l.byUserID[a.entry.UserID]...)
	}
	return found
}

// directory is what the ledger, and tasks that it was not told of, know of users.
type directory struct {
	base    ledger.Version
	byUser  map[user.ID]ledger.Entry
	byWaID  map[string][]user.ID // as learnt
	pending map[user.ID]ledger.Version
	later   map[user.ID]struct{}
}

func newDirectory(in Input) *directory {
	d := &directory{
		base: in.Base, byUser: make(map[user.ID]ledger.Entry, len(in.Entries)), byWaID: map[string][]user.ID{},
		pending: in.Pending, later: in.Later,
	}
	for _, e := range in.Entries {
		if had, again := d.byUser[e.User]; again && (had.Version > e.Version || d.unsettled(had)) {
			continue
		}
		d.byUser[e.User] = e
	}
	for u, e := range d.byUser {
		if e.WaID != "" {
			d.byWaID[e.WaID] = append(d.byWaID[e.WaID], u)
		}
	}
	for _, users := range d.byWaID {
		slices.SortFunc(users, user.Compare)
	}
	return d
}

func (d *directory) person(u user.ID) *person {
	p := &person{user: u, learnt: d.byUser[u].WaID, digits: digitsOf(u)}
	if u.IsBSUID() {
		p.bsuid = reveal(u)
	}
	return p
}

func (d *directory) version(u user.ID) ledger.Version { return d.byUser[u].Version }

// unsettled reports whether something was, or may be, under way for a user since the base.
func (d *directory) unsettled(e ledger.Entry) bool {
	switch e.State {
	case ledger.Unknown:
		return false
	case ledger.Waiting, ledger.InFlight:
		return true
	default:
		return e.Busy || e.Version > d.base || !e.SettledAt.Before(d.base.Time().Truncate(time.Millisecond))
	}
}

// busy reports whether a user is to be left alone.
func (d *directory) busy(u user.ID) bool {
	e := d.byUser[u]
	return d.unsettled(e) || d.pending[u] > e.Version
}

func (d *directory) anyBusy(users []user.ID) bool { return slices.ContainsFunc(users, d.busy) }

// anyLater reports whether one of some users is going to be blocked.
func (d *directory) anyLater(users []user.ID) bool {
	return slices.ContainsFunc(users, func(u user.ID) bool { _, later := d.later[u]; return later })
}

// siblings returns the users that a WhatsApp ID, or a BSUID, is known or dialled as.
func (d *directory) siblings(waID, bsuid string) []user.ID {
	var users []user.ID
	if waID != "" {
		users = append(users, d.byWaID[waID]...)
		users = d.appendKnown(users, "+"+waID)
	}
	if bsuid != "" {
		users = d.appendKnown(users, bsuid)
	}
	return users
}

func (d *directory) appendKnown(users []user.ID, name string) []user.ID {
	u, err := user.FromCanonical(name)
	if err != nil || slices.Contains(users, u) {
		return users
	}
	_, recorded := d.byUser[u]
	_, pending := d.pending[u]
	if _, later := d.later[u]; recorded || pending || later {
		users = append(users, u)
	}
	return users
}

// name returns the user by whom an entry of the list is to be unblocked or adopted, and the
// version of its record: the number that was asked for last, else the WhatsApp ID itself.
func (d *directory) name(waID string, siblings []user.ID) (u user.ID, seen ledger.Version) {
	u, seen = d.newest(u, siblings)
	if u.IsZero() && waID != "" {
		u, _ = user.FromCanonical("+" + waID) // zero when it is no number
	}
	return u, seen
}

// newest returns u, or the sibling that was asked for later, with the version of its record.
func (d *directory) newest(u user.ID, siblings []user.ID) (user.ID, ledger.Version) {
	seen := d.version(u)
	for _, s := range siblings {
		if v := d.version(s); !s.IsBSUID() && (u.IsZero() || v > seen) {
			u, seen = s, v
		}
	}
	return u, seen
}

// unwantedSince reports whether somebody asked under another name, and later, to unblock.
func (d *directory) unwantedSince(u user.ID, siblings []user.ID) bool {
	return slices.ContainsFunc(siblings, func(s user.ID) bool {
		e := d.byUser[s]
		return s != u && e.Operation == ledger.Unblock && e.Version > d.version(u)
	})
}

// seenLately reports whether the ledger shows that a user could be blocked within the last 24
// hours.
func (d *directory) seenLately(u user.ID, now time.Time) bool {
	e := d.byUser[u]
	return e.Operation == ledger.Block && e.State == ledger.Succeeded && now.Sub(e.SettledAt) < window
}

// unresolved returns users who are busy, or whose records can't be read: one of them may be on
// the list by another name than the API told last, if it told any.
func (d *directory) unresolved() []*person {
	var people []*person
	for u := range d.byUser {
		if d.busy(u) || d.unreadable(u) {
			people = append(people, d.person(u))
		}
	}
	for u := range d.pending {
		if _, recorded := d.byUser[u]; !recorded {
			people = append(people, d.person(u))
		}
	}
	return people
}

// withdrawable returns those of some names of a person under which an earlier run's unblock
// is still under way. Nobody else asks in that queue.
func (d *directory) withdrawable(names []user.ID) []user.ID {
	return slices.DeleteFunc(names, func(u user.ID) bool {
		e := d.byUser[u]
		open := e.State == ledger.Waiting || e.State == ledger.InFlight
		return !open || e.Operation != ledger.Unblock || e.Queue != ledger.Reconcile
	})
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

// unreadable reports whether there is a record of a user that can't be read.
func (d *directory) unreadable(u user.ID) bool {
	e, recorded := d.byUser[u]
	return recorded && e.State == ledger.Unknown
}

// discarded reports whether one of some users was last asked to be blocked, could not be, and
// was let go.
func (d *directory) discarded(users []user.ID) bool {
	return slices.ContainsFunc(users, func(u user.ID) bool {
		e := d.byUser[u]
		return e.Operation == ledger.Block && e.State == ledger.Discarded
	})
}

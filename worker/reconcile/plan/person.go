package plan

import (
	"cmp"
	"slices"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/user"
)

// The API lists WhatsApp IDs, and people write phone numbers. For most countries they are the
// same digits; for Brazil, Mexico and Argentina among others they are not, and only an answer
// of the API tells a number's ID. What was learnt so is in the ledger. Where it is not, the
// dialled digits are compared, and what could be the same person in another form stays on the
// list.

// reveal returns a user's name as files have it: for comparing and hashing alone.
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

// waID is the best guess at the person's name on the list, "" when there is none.
func (p *person) waID() string { return cmp.Or(p.learnt, p.digits) }

// listed is one entry of the list.
type listed struct {
	entry   client.Entry
	desired bool
	// was means that the desired list had it when the run began.
	was bool
}

// blocklist is the actual list, by each of its names.
type blocklist struct {
	entries  []*listed
	byWaID   map[string]*listed
	byUserID map[string][]*listed // one person, under however many WhatsApp IDs
}

func newBlocklist(entries []client.Entry) *blocklist {
	l := &blocklist{byWaID: make(map[string]*listed, len(entries)), byUserID: map[string][]*listed{}}
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

// find returns the entries that may be a person's, under whatever name.
func (l *blocklist) find(p *person) []*listed {
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

// has reports whether the list names a person.
func (l *blocklist) has(p *person) bool {
	return l.byWaID[p.digits] != nil || l.byWaID[p.learnt] != nil || len(l.byUserID[p.bsuid]) > 0
}

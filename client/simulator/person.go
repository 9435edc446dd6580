package simulator

import "strings"

// person is a user as a request named them, resolved to who they are.
type person struct {
	input string // as the request wrote it
	name  string // canonical: "+" and digits, or a BSUID; the input if it is neither
	key   string // of their slot in a list: the wa_id, or the BSUID of those without one
	waID  string // digits; empty for users known by BSUID alone
	gone  bool   // the name was theirs until they changed it
	byID  bool   // named by BSUID
	bad   bool   // not a number, or not on WhatsApp
	trick trick  // of the numbers with a meaning
}

// shapeless reports whether the input is neither a number nor a user ID in the right field.
func (p *person) shapeless() bool {
	_, ok := canonical(p.input)
	return !ok || isUserID(p.input) && !p.byID
}

// directory knows the users of a scenario, and the numbers with a meaning. Of it, changes alone change.
type directory struct {
	byName map[string]*User // by number and by BSUID
	byKey  map[string]*User // by the key of their slot in a list
	tricks map[string]trick // nil when they are switched off
	all    bool             // every user has a user ID

	changed *changes
}

func newDirectory(sc Scenario, changed *changes) directory {
	d := directory{byName: map[string]*User{}, byKey: map[string]*User{}, all: sc.UserIDs, changed: changed}
	for i := range sc.Users {
		u := &sc.Users[i]
		if u.User != "" {
			name, _ := canonical(u.User)
			d.byName[name] = u
		}
		if u.UserID != "" {
			d.byName[u.UserID] = u
		}
		d.byKey[u.key()] = u
	}
	if !sc.IgnoreTestNumbers {
		d.tricks = tricks()
	}
	return d
}

// key is that of the user's slot in a list.
func (u *User) key() string {
	if u.WaID != "" {
		return u.WaID
	}
	return u.UserID
}

// madePrefix begins the user IDs that users have by [Scenario.UserIDs]; the digits of their wa_id follow.
const madePrefix = "US.7"

func madeUserID(waID string) string { return madePrefix + waID }

// made reports whether a user ID is one that was made from a number.
func (d directory) made(userID string) bool {
	digits, ok := strings.CutPrefix(userID, madePrefix)
	if !ok || !d.all || !allDigits(digits) || d.byName[userID] != nil {
		return false
	}
	_, ok = canonical("+" + digits)
	return ok
}

// userIDOf returns the user ID of the user with a slot, empty for none.
func (d directory) userIDOf(key string) string {
	if who, ok := d.changed.keyed(key); ok {
		return who.userID
	}
	if isUserID(key) {
		return key
	}
	if u := d.byKey[key]; u != nil && u.UserID != "" {
		return u.UserID
	}
	if d.all {
		return madeUserID(key)
	}
	return ""
}

// usernameOf returns the username of the user with a slot, empty for none. It hides the number.
func (d directory) usernameOf(key string) string {
	if who, ok := d.changed.keyed(key); ok {
		return who.hidden
	}
	if u := d.byKey[key]; u != nil {
		return u.Username
	}
	return ""
}

// resolve returns the user that an input names.
func (d directory) resolve(input string) person {
	name, ok := canonical(input)
	p := person{input: input, name: name, key: name, bad: !ok}
	if !ok {
		return p
	}
	p.byID = name[0] != '+'
	if who, ok := d.changed.named(name); ok {
		p.key, p.waID, p.gone = who.key, who.waID, who.gone
		return p
	}
	if u := d.byName[name]; u != nil {
		p.key, p.waID, p.bad = u.key(), u.WaID, u.Invalid
		return p
	}
	if p.byID {
		if d.made(name) {
			p = d.resolve("+" + name[len(madePrefix):])
			p.input, p.name, p.byID = input, name, true
		}
		return p
	}
	p.waID = name[1:]
	if d.tricks != nil && strings.HasPrefix(name, testNumberPrefix) {
		p.trick = d.tricks[name]
	}
	switch p.trick {
	case trickInvalid:
		p.bad = true
	case trickOtherWaID:
		p.waID = otherWaID
	}
	p.key = p.waID
	return p
}

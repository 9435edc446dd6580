package simulator

import "strings"

// person is a user as a request named them, resolved to who they are.
type person struct {
	input string // as the request wrote it
	name  string // canonical: "+" and digits, or a BSUID; the input if it is neither
	key   string // of their slot in a list: the wa_id, or the BSUID of those without one
	waID  string // digits; empty for users known by BSUID alone
	byID  bool   // named by BSUID
	bad   bool   // not a number, or not on WhatsApp
	trick trick  // of the numbers with a meaning
}

// shapeless reports whether the input is neither a number nor a user ID in the right field.
func (p *person) shapeless() bool {
	_, ok := canonical(p.input)
	return !ok || isUserID(p.input) && !p.byID
}

// directory knows the users of a scenario, and the numbers with a meaning. It never changes.
type directory struct {
	byName map[string]*User // by number and by BSUID
	byKey  map[string]*User // by the key of their slot in a list
	tricks map[string]trick // nil when they are switched off
}

func newDirectory(sc Scenario) directory {
	d := directory{byName: map[string]*User{}, byKey: map[string]*User{}}
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

// resolve returns the user that an input names.
func (d directory) resolve(input string) person {
	name, ok := canonical(input)
	p := person{input: input, name: name, key: name, bad: !ok}
	if !ok {
		return p
	}
	p.byID = name[0] != '+'
	if u := d.byName[name]; u != nil {
		p.key, p.waID, p.bad = u.key(), u.WaID, u.Invalid
		return p
	}
	if p.byID {
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

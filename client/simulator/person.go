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

// canonical returns the one form of a number or BSUID, and whether it has the shape of either.
// Numbers may carry the punctuation that the Cloud API forgives: spaces, dashes, brackets.
func canonical(input string) (string, bool) {
	if isUserID(input) {
		return input, true
	}
	digits := strings.TrimPrefix(input, "+")
	if !allDigits(digits) {
		digits = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(digits)
		digits = strings.TrimPrefix(digits, "+")
	}
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' || !allDigits(digits) {
		return input, false
	}
	if len(input) == len(digits)+1 && input[0] == '+' {
		return input, true // the usual case, and no new string for it
	}
	return "+" + digits, true
}

// isUserID tells a BSUID: a country in capitals, a dot, and up to 128 letters and digits. A
// parent ID has "ENT." after the dot.
func isUserID(s string) bool {
	if len(s) < 4 || s[2] != '.' || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		return false
	}
	rest := s[3:]
	if isParentUserID(s) {
		rest = s[7:]
	}
	if rest == "" || len(rest) > 128 {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

func isParentUserID(s string) bool { return len(s) > 7 && s[3:7] == "ENT." }

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
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

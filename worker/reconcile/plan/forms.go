package plan

import "strconv"

// forms are numbers that a WhatsApp ID may be another form of.
type forms struct {
	userIDs bool // any entry that shows no user ID may be a user that is known by its user ID
	known   map[form]lengths
}

// form is the part of a number that is the same in each of its forms: the beginning of its
// country code, and its last digits, as a number.
type form struct{ country, tail, digits uint32 }

// lengths is a set of lengths.
type lengths uint32

// The least that numbering plans leave alone: Argentina's area codes of four digits leave six.
// Another form of a user who is on the list by one is less likely to be there, and what happens
// to look like one more of a nuisance; WhatsApp's own forms leave eight.
const (
	tailOfAbsent  = 6
	tailOfPresent = 8
)

func formOf(digits string, tail int) (form, bool) {
	if len(digits) < tail+2 || len(digits) >= 32 {
		return form{}, false
	}
	country, err := strconv.ParseUint(digits[:2], 10, 32)
	if err != nil {
		return form{}, false
	}
	last, err := strconv.ParseUint(digits[len(digits)-tail:], 10, 32)
	return form{uint32(country), uint32(last), uint32(tail)}, err == nil
}

// add takes in a person who is not on the list, or only under a name of which the API has
// another by now.
func (s *forms) add(p *person) {
	tail := tailOfAbsent
	if len(p.present) > 0 {
		tail = tailOfPresent
	} else if p.bsuid != "" && p.learnt == "" {
		s.userIDs = true
	}
	for _, digits := range []string{p.learnt, p.digits} {
		if f, ok := formOf(digits, tail); ok {
			s.known[f] |= 1 << len(digits)
		}
	}
}

// similar reports whether a WhatsApp ID may be one of them. The forms of a number differ in
// length in each country that is known to have two.
func (s *forms) similar(waID string) bool {
	for _, tail := range []int{tailOfAbsent, tailOfPresent} {
		if f, ok := formOf(waID, tail); ok && s.known[f]&^(1<<len(waID)) != 0 {
			return true
		}
	}
	return false
}

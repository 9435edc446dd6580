package plan

import "slices"

// forms are numbers in which a WhatsApp ID is looked for that may be one of them in another
// form.
type forms struct {
	userIDs int // users that may stand behind any entry that shows no user ID
	known   map[form][]int
}

// form is what stays of a number in each form that it can have: the beginning of its country
// code, and its last digits.
type form struct{ country, tail string }

// The least that numbering plans leave alone: Argentina's area codes of four digits leave six.
// Of somebody who is on the list by one form, another form is less likely there, and what
// happens to look like one more of a nuisance; WhatsApp's own forms leave eight.
const (
	tailOfAbsent  = 6
	tailOfPresent = 8
)

func formOf(digits string, tail int) (form, bool) {
	if len(digits) < tail+2 {
		return form{}, false
	}
	return form{digits[:2], digits[len(digits)-tail:]}, true
}

// add takes in a person who is not on the list, or only under a name of which the API has
// another by now.
func (s *forms) add(p *person) {
	tail := tailOfAbsent
	if len(p.present) > 0 {
		tail = tailOfPresent
	} else if p.bsuid != "" && p.learnt == "" {
		s.userIDs++
	}
	for _, digits := range slices.Compact([]string{p.learnt, p.digits}) {
		if f, ok := formOf(digits, tail); ok {
			if s.known == nil {
				s.known = map[form][]int{}
			}
			s.known[f] = append(s.known[f], len(digits))
		}
	}
}

// similar reports whether a WhatsApp ID may be one of them. The forms of a number differ in
// length in each country that is known to have two.
func (s *forms) similar(waID string) bool {
	for _, tail := range []int{tailOfAbsent, tailOfPresent} {
		f, ok := formOf(waID, tail)
		if ok && slices.ContainsFunc(s.known[f], func(length int) bool { return length != len(waID) }) {
			return true
		}
	}
	return false
}

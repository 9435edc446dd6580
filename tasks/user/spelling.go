package user

import "regexp"

// spelling is one way in which a country's mobile numbers are dialled in two forms: WhatsApp may know an account by either.
type spelling struct {
	long, short *regexp.Regexp
	toShort     string
	toLong      string
}

var spellings = []spelling{ //nolint:gochecknoglobals // never changes
	{ // Brazil: with and without the ninth digit
		regexp.MustCompile(`^\+55([1-9][1-9])9([6-9][0-9]{7})$`), regexp.MustCompile(`^\+55([1-9][1-9])([6-9][0-9]{7})$`),
		"+55$1$2", "+55${1}9$2",
	},
	{ // Mexico: with and without the 1 of mobiles
		regexp.MustCompile(`^\+521([2-9][0-9]{9})$`), regexp.MustCompile(`^\+52([2-9][0-9]{9})$`),
		"+52$1", "+521$1",
	},
	{ // Argentina: with and without the 9 of mobiles
		regexp.MustCompile(`^\+549([0-9]{10})$`), regexp.MustCompile(`^\+54([0-8][0-9]{9})$`),
		"+54$1", "+549$1",
	},
}

// Fold returns the form in which the spellings of one number are the same: of a canonical form, the shorter one.
func Fold(canonical string) string {
	for _, s := range spellings {
		if s.long.MatchString(canonical) {
			return s.long.ReplaceAllString(canonical, s.toShort)
		}
	}
	return canonical
}

// Spellings returns id and the other forms in which its number is dialled; of a BSUID, id alone.
func Spellings(id ID) []ID {
	all := []ID{id}
	if id.IsZero() || id.IsBSUID() {
		return all
	}
	canonical := id.Reveal()
	for _, s := range spellings {
		other := ""
		switch {
		case s.long.MatchString(canonical):
			other = s.long.ReplaceAllString(canonical, s.toShort)
		case s.short.MatchString(canonical):
			other = s.short.ReplaceAllString(canonical, s.toLong)
		default:
			continue
		}
		if o, err := FromCanonical(other); err == nil {
			all = append(all, o)
		}
	}
	return all
}

package user

import (
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// InvalidError says why an input names no user. It never holds the input.
type InvalidError struct {
	// Reason is a short phrase for people: "too short to be a phone number".
	Reason string
}

func (e *InvalidError) Error() string { return "user: " + e.Reason }

// The bounds of E.164; the shortest international number in use has 7 digits.
const (
	minDigits = 7
	maxDigits = 15
)

// Parse reads a phone number or BSUID as people write it. Of numbers it forgives spaces,
// dashes, dots, brackets, a missing "+" and a leading "00". What it accepts has an assigned
// country code and a length that is possible there: numbering plans change faster than the
// library's tables of ranges do, and the API is the judge of whether a number exists. The
// error is an [*InvalidError].
func Parse(s string) (ID, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return ID{}, &InvalidError{Reason: "empty"}
	}
	if looksLikeBSUID(s) {
		return FromCanonical(s)
	}
	digits, reason := strip(s)
	if reason == "" {
		reason = checkDigits(digits)
	}
	if reason != "" {
		return ID{}, &InvalidError{Reason: reason}
	}
	number, reason := possible("+" + digits)
	if reason == "" && number != "+"+digits {
		// A trunk prefix was dropped. What would lose another one names nobody, and must not be
		// one user here and another one when its canonical form is read.
		if again, _ := possible(number); again != number {
			reason = notPossible
		}
	}
	if reason != "" {
		return ID{}, &InvalidError{Reason: reason}
	}
	return FromCanonical(number)
}

const notPossible = "not a possible number in its country"

// possible returns a number in E.164, without a trunk prefix, or why it is none.
func possible(s string) (e164, reason string) {
	n, err := phonenumbers.Parse(s, "")
	if err != nil {
		return "", "no country has this calling code"
	}
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.IS_POSSIBLE:
		return phonenumbers.Format(n, phonenumbers.E164), ""
	case phonenumbers.TOO_SHORT, phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return "", "too short for its country"
	case phonenumbers.TOO_LONG:
		return "", "too long for its country"
	default:
		return "", notPossible
	}
}

// strip returns the digits of a phone number without punctuation and prefix.
func strip(s string) (digits, reason string) {
	var b strings.Builder
	plus := false
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+':
			if plus || b.Len() > 0 {
				return "", "a plus sign in the middle"
			}
			plus = true
		case r == '(' || r == ')' || r == '[' || r == ']' || r == '.' || r == '-':
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r):
			// Typographic spaces and dashes, and the direction marks that contact apps paste.
		default:
			return "", "holds a character that no phone number has"
		}
	}
	digits = b.String()
	if !plus {
		digits = strings.TrimPrefix(digits, "00")
	}
	return digits, ""
}

func checkDigits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return "holds a character that no phone number has"
		}
	}
	switch {
	case s == "":
		return "holds no digits"
	case s[0] == '0':
		return "no country code: it must start with + and the country's calling code"
	case len(s) < minDigits:
		return "too short to be a phone number"
	case len(s) > maxDigits:
		return "too long to be a phone number (more than 15 digits)"
	}
	return ""
}

// looksLikeBSUID tells a BSUID from a phone number: two letters and a dot.
func looksLikeBSUID(s string) bool {
	return len(s) > 3 && isLetter(s[0]) && isLetter(s[1]) && s[2] == '.'
}

// checkBSUID holds s against the form in Meta's page on business-scoped user IDs: an ISO
// 3166 alpha-2 code, a dot, up to 128 alphanumerics. Parent BSUIDs (CC.ENT.…) are refused:
// whether the block endpoint takes them is contradicted between Meta's pages.
func checkBSUID(s string) string {
	if !looksLikeBSUID(s) {
		return "neither a phone number nor a business-scoped user ID"
	}
	if s[0] > 'Z' || s[1] > 'Z' {
		return "a business-scoped user ID starts with a country in capitals"
	}
	rest := s[3:]
	if strings.HasPrefix(rest, "ENT.") {
		return "a parent business-scoped user ID can't be blocked"
	}
	if len(rest) > 128 {
		return "too long to be a business-scoped user ID"
	}
	for i := range len(rest) {
		if c := rest[i]; !isLetter(c) && (c < '0' || c > '9') {
			return "a business-scoped user ID has letters and digits alone after its dot"
		}
	}
	return ""
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

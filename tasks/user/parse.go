package user

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// InvalidError is the reason why an input names no user. It never holds the input.
type InvalidError struct {
	// Reason is a short phrase for people: "too short to be a phone number".
	Reason string
}

func (e *InvalidError) Error() string { return "user: " + e.Reason }

// Reason returns the Reason of an [*InvalidError] in err.
func Reason(err error) string {
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		return invalid.Reason
	}
	return "not a phone number"
}

// The bounds of E.164; the shortest international number in use has 7 digits.
const (
	minDigits = 7
	maxDigits = 15
)

// Parse reads a phone number or BSUID as people and programs write them: with separators where
// people put them, in the digits of any script, as "whatsapp:+1…", "tel:…", "…@s.whatsapp.net",
// "…@c.us" or "https://wa.me/…". The error is an [*InvalidError].
//
// After "+" or "00" a number needs an assigned calling code and a length that is possible there:
// numbering plans change faster than tables of ranges do, and the API knows which numbers exist.
// Without them it is a WhatsApp ID, and must be a valid number or have one of WhatsApp's older
// forms: of national numbers without a country code, half would pass for another country's.
func Parse(s string) (ID, error) { return Country{}.Parse(s) }

const (
	noCountryCode = "no country code: it must start with + and the country's calling code"
	notPossible   = "not a possible number in its country"
	notValid      = "not a valid number: write + and the country's calling code in front, or say whose national numbers these are"
)

// international reads the digits that stand behind a plus sign.
func international(digits string) (e164, reason string) {
	if reason := checkDigits(digits); reason != "" {
		return "", reason
	}
	number, reason := possible(digits)
	if reason != "" && older(digits) {
		return "+" + digits, ""
	}
	if reason == "" && number != "+"+digits {
		// A trunk prefix was dropped. A number that would lose another one is refused: it must not
		// be one user here and another one when its canonical form is read.
		if again, _ := possible(number[1:]); again != number {
			reason = notPossible
		}
	}
	return number, reason
}

// possible returns a number in E.164, without a trunk prefix, or why it is not one.
func possible(digits string) (e164, reason string) {
	n, err := parsePhone(digits)
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

// whatsAppID reads digits with a country code that no plus sign vouches for.
func whatsAppID(digits string) (e164, reason string) {
	if reason := checkDigits(digits); reason != "" {
		return "", reason
	}
	n, err := parsePhone(digits)
	switch {
	case err == nil && phonenumbers.IsValidNumber(n) && phonenumbers.Format(n, phonenumbers.E164) == "+"+digits, older(digits):
		return "+" + digits, ""
	}
	if _, reason := possible(digits); reason != "" {
		return "", reason
	}
	return "", notValid
}

func checkDigits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return notAPhoneCharacter
		}
	}
	switch {
	case s == "":
		return "holds no digits"
	case s[0] == '0':
		return noCountryCode
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
// Meta blocks none.
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

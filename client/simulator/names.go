package simulator

import (
	"regexp"
	"strings"
)

var (
	versionPattern = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,2}$`)
	idPattern      = regexp.MustCompile(`^[0-9]{1,32}$`)
)

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

package user

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longDigits matches what could be a phone number inside a sentence, grouped or not, and the
// body of a BSUID.
var longDigits = regexp.MustCompile(`\b[A-Z]{2}\.[0-9A-Za-z]{8,128}\b|\+?[0-9](?:[ .()\-]{0,2}[0-9]){6,}`)

// Scrub returns text with everything in it that could be a phone number or a BSUID replaced
// by "…", however it is spaced. It is for free text from outside (the API's messages) that
// goes on into logs, errors and web pages; it would rather hide an innocent long number than
// show a user's. Where it hides something, unusual spaces, dashes and digits around that come
// out as the plain ones.
func Scrub(text string) string {
	if !mayName(text) {
		return text
	}
	plain := plainDigits(text)
	if scrubbed := longDigits.ReplaceAllString(plain, "…"); scrubbed != plain {
		return scrubbed
	}
	return text
}

// mayName reports whether text has what every number, or every BSUID, has. Most texts have
// neither, and need no closer look.
func mayName(text string) bool {
	digits := 0
	for i, r := range text {
		switch {
		case r >= '0' && r <= '9', r >= utf8.RuneSelf && unicode.IsDigit(r):
			if digits++; digits == minDigits {
				return true
			}
		case r == '.' && i >= 2 && isLetter(text[i-1]) && isLetter(text[i-2]):
			return true
		}
	}
	return false
}

var separators = regexp.MustCompile(`[ .()\-/]{3,}`)

// plainDigits returns s with everything that reads as a digit or a separator in a phone number
// as the ASCII one, and long runs of separators shortened.
func plainDigits(s string) string {
	s = strings.Map(plainRune, strings.ToValidUTF8(s, "?"))
	return separators.ReplaceAllString(s, " ")
}

func plainRune(r rune) rune {
	switch {
	case r == '[' || r == ']':
		return '.'
	case r < utf8.RuneSelf && !unicode.IsSpace(r):
		return r
	case unicode.IsDigit(r):
		return '0' // which digit does not matter: it is found, then left out
	case unicode.IsSpace(r):
		return ' '
	case unicode.Is(unicode.Pd, r):
		return '-'
	case unicode.Is(unicode.Cf, r):
		return -1
	default:
		return r
	}
}

package user

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/width"
)

const (
	notAPhoneCharacter = "holds a character that no phone number has"
	twoNumbers         = "more than one number: give each a line of its own"
	badSeparator       = "separators that no phone number has between its digits"
	rounded            = "rounded by a spreadsheet: format the column as text and export it again"
	fraction           = "a decimal fraction: format the column as text and export it again"
)

// plain returns s trimmed, with the digits, letters and signs of other scripts and of full width
// as the ASCII ones.
func plain(s string) string {
	s = strings.TrimSpace(s)
	if isASCII(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= utf8.RuneSelf && unicode.Is(unicode.Nd, r):
			return digitOf(r)
		case r == '\u2212': // the minus sign
			return '-'
		case r == '\u066b': // the decimal separator of Arabic
			return '.'
		}
		return r
	}, width.Fold.String(s))
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// digitOf returns the ASCII digit of a decimal digit: Unicode keeps those of a script together,
// from 0 to 9.
func digitOf(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if lo, hi := rune(t.Lo), rune(t.Hi); r >= lo && r <= hi {
			return '0' + (r-lo)%10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if lo, hi := rune(t.Lo), rune(t.Hi); r >= lo && r <= hi {
			return '0' + (r-lo)%10
		}
	}
	return r
}

// written is a number as it was written: groups of digits with separators between them.
type written struct {
	plus     bool
	brackets bool
	groups   []string
}

var (
	// whole is a column of numbers as pandas, csvkit and spreadsheets write it when one of its
	// cells is empty: 919876543210.0.
	whole = regexp.MustCompile(`^(\+?[0-9]+)[.,]0*$`)
	// decimal is any other fraction. What has its calling code in front of its only dot is a
	// number as domain registries write it: +44.2079460018.
	decimal = regexp.MustCompile(`^(\+?)([0-9]+)[.,]([0-9]+)$`)
	// scientific matches what spreadsheets make of long numbers: 1.65056E+10, 1,65E10, 1.65×10^10.
	scientific = regexp.MustCompile(`^[+-]?[0-9]+(?:[.,][0-9]*)?\s*(?:[eE]\s*[+-]?\s*[0-9]{1,3}|[x×*·∙⋅]\s*10\s*(?:\^\s*\+?[0-9]{1,3}|[⁺⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3}))$`)
)

// parseWritten takes a number apart, and refuses what is none or more than one.
func parseWritten(s string) (w written, reason string) {
	if digits := strings.TrimPrefix(s, "+"); countDigits(digits) == len(digits) && digits != "" {
		return written{plus: len(digits) < len(s), groups: []string{digits}}, ""
	}
	if scientific.MatchString(s) {
		return w, rounded
	}
	if m := whole.FindStringSubmatch(s); m != nil {
		s = m[1]
	} else if m := decimal.FindStringSubmatch(s); m != nil && (m[1] == "" || !isCallingCode(m[2])) {
		if min(len(m[2]), len(m[3])) >= minDigits {
			return w, twoNumbers
		}
		return w, fraction
	}
	var between strings.Builder // the separators since the last digit
	open := false               // a bracket
	start := -1                 // of the group of digits
	for i, r := range s + " " {
		if r >= '0' && r <= '9' {
			if start < 0 {
				if !w.separated(between.String()) {
					return w, badSeparator
				}
				start = i
				between.Reset()
			}
			continue
		}
		if start >= 0 {
			w.groups = append(w.groups, s[start:i])
			start = -1
		}
		switch {
		case r == '+':
			if w.plus || len(w.groups) > 0 {
				if w.length() >= minDigits {
					return w, twoNumbers
				}
				return w, "a plus sign in the middle"
			}
			w.plus = true
		case r == '(' || r == '[':
			if open {
				return w, badSeparator
			}
			open, w.brackets = true, true
			between.WriteByte('(')
		case r == ')' || r == ']':
			if !open {
				return w, badSeparator
			}
			open = false
			between.WriteByte(')')
		case r == '.':
			between.WriteByte('.')
		case unicode.Is(unicode.Pd, r):
			between.WriteByte('-')
		case unicode.Is(unicode.Zs, r):
			between.WriteByte(' ')
		case unicode.Is(unicode.Cf, r): // invisible, such as the direction marks that contact apps paste
		case w.length() >= minDigits && countDigits(s[i:]) >= minDigits-1:
			return w, twoNumbers
		default:
			return w, notAPhoneCharacter
		}
	}
	rest, long := strings.TrimRight(between.String(), " "), 0
	for _, g := range w.groups {
		if len(g) >= minDigits {
			long++
		}
	}
	switch {
	case len(w.groups) == 0:
		return w, "holds no digits"
	case open || rest != "" && rest != ")":
		return w, badSeparator
	case long > 1:
		return w, twoNumbers
	}
	return w, ""
}

func countDigits(s string) (n int) {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

func (w written) length() int {
	n := 0
	for _, g := range w.groups {
		n += len(g)
	}
	return n
}

// separated reports whether people put such a separator in front of the next group.
func (w written) separated(by string) bool {
	visible := strings.ReplaceAll(by, " ", "")
	if len(w.groups) == 0 { // in front of the first
		return len(by) <= maxSeparators && (visible == "" || visible == "(")
	}
	if len(by) > maxSeparators {
		return false
	}
	switch visible {
	case "", "-", ".", "(", ")", ")(", ")-", ").", "-(", ".(":
		return true
	}
	return false
}

// maxSeparators bounds what people put between two groups: " - (".
const maxSeparators = 4

// international returns all digits, and whether a plus sign or 00, which is taken off, says that
// they start with a country code.
func (w written) international() (digits string, abroad bool) {
	digits = strings.Join(w.groups, "")
	if w.plus {
		return digits, true
	}
	if strings.HasPrefix(w.groups[0], "00") {
		return digits[2:], true
	}
	return digits, false
}

// asAbroad reports whether a number without a plus sign is written as one with its country code:
// in one group, or in the groups in which that country's numbers are written, the calling code
// first. 646 555 1234 is a number of New York, and not one of New Zealand, whose code is 64. What
// has three digits first, and ten or fewer in all, is how national numbers are written in
// North America, and elsewhere.
func (w written) asAbroad() bool {
	if len(w.groups) == 1 {
		return true
	}
	first := w.groups[0]
	if w.brackets || !isCallingCode(first) || len(first) == 3 && w.length() <= 10 {
		return false
	}
	n, err := parsePhone(strings.Join(w.groups, ""))
	if err != nil {
		return false
	}
	return slices.Equal(w.groups, strings.FieldsFunc(phonenumbers.Format(n, phonenumbers.INTERNATIONAL), func(r rune) bool { return r < '0' || r > '9' }))
}

// callingCodes are the assigned ones.
var callingCodes = phonenumbers.GetSupportedCallingCodes() //nolint:gochecknoglobals // never changes

func isCallingCode(digits string) bool {
	if len(digits) > 3 || strings.HasPrefix(digits, "0") {
		return false
	}
	code, err := strconv.Atoi(digits)
	return err == nil && callingCodes[code]
}

package user

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"
)

// Country is the country whose national numbers [Country.Parse] reads. The zero Country is none:
// numbers need their country code. It is comparable.
type Country struct{ region string } // ISO 3166 alpha-2

// callingCode matches a calling code as address books and pickers of countries write it: +91,
// 0091, 91; with the area code of an island of North America too: 1-876.
var callingCode = regexp.MustCompile(`^(?:\+|00)?(?:(1)[- ]?[2-9][0-9]{2}|([1-9][0-9]{0,2}))$`)

// ParseCountry reads a country: an ISO 3166 code ("US", "usa") or a calling code ("+1", "91").
// Where countries share a calling code it means all of them.
func ParseCountry(s string) (Country, error) {
	s = plain(s)
	region := ""
	if m := callingCode.FindStringSubmatch(s); m != nil {
		code, _ := strconv.Atoi(m[1] + m[2])
		region = phonenumbers.GetRegionCodeForCountryCode(code)
	} else if r, err := language.ParseRegion(s); err == nil {
		region = r.Canonicalize().String()
	}
	if !phonenumbers.GetSupportedRegions()[region] {
		return Country{}, fmt.Errorf("user: not a country: write its ISO code, such as US, or its calling code, such as +1")
	}
	return Country{region}, nil
}

// String returns the ISO 3166 code, "" for the zero Country.
func (c Country) String() string { return c.region }

// IsZero reports whether c is no country.
func (c Country) IsZero() bool { return c == Country{} }

// Parse is [Parse], but reads numbers without a country code as national ones of c.
func (c Country) Parse(s string) (ID, error) {
	canonical, reason := c.canonical(s)
	if reason != "" {
		return ID{}, &InvalidError{Reason: reason}
	}
	return FromCanonical(canonical)
}

func (c Country) canonical(s string) (canonical, reason string) {
	s = plain(s)
	if s == "" {
		return "", "empty"
	}
	number, isID, reason := identifier(s)
	if reason != "" {
		return "", reason
	}
	if isID {
		c = Country{} // WhatsApp IDs have their country code
	} else if looksLikeBSUID(number) {
		return number, "" // FromCanonical checks it
	}
	w, reason := parseWritten(number)
	if reason != "" {
		return "", reason
	}
	digits, abroad := w.international()
	switch {
	case abroad:
		return international(digits)
	case c.region != "":
		return c.national(w, digits)
	case digits[0] == '0' || w.brackets || !w.asAbroad():
		return "", noCountryCode
	}
	return whatsAppID(digits)
}

// national reads a number that has neither "+" nor "00", by the rules of c.
func (c Country) national(w written, digits string) (e164, reason string) {
	code := strconv.Itoa(phonenumbers.GetCountryCodeForRegion(c.region))
	if strings.HasPrefix(digits, code) && !w.brackets {
		// The country's own code in front, as in its WhatsApp IDs.
		if e164, reason := whatsAppID(digits); reason == "" {
			return e164, ""
		}
	}
	n, err := phonenumbers.Parse(digits, c.region)
	if err != nil {
		return "", "not a number of " + c.region + ": " + notPossible
	}
	e164 = phonenumbers.Format(n, phonenumbers.E164)
	if phonenumbers.IsValidNumber(n) || older(e164[1:]) {
		return international(e164[1:])
	}
	if len(digits) > c.longest() && digits[0] != '0' && !w.brackets && w.asAbroad() {
		return whatsAppID(digits)
	}
	return "", "not a valid number of " + c.region
}

// longest returns how many digits a mobile number of the country has without its trunk prefix.
// What is longer is not meant as a national number, but as a WhatsApp ID.
func (c Country) longest() int {
	if n := phonenumbers.GetExampleNumberForType(c.region, phonenumbers.MOBILE); n != nil {
		return len(phonenumbers.GetNationalSignificantNumber(n))
	}
	return maxDigits
}

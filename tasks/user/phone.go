package user

import (
	"regexp"
	"strconv"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// parsePhone reads the digits behind a plus sign, as phonenumbers.Parse does. That one looks for extensions, letters and
// parameters first, which takes nine tenths of its time, and digits have none. It is asked only where a trunk prefix or a
// leading zero may have to be dealt with.
func parsePhone(digits string) (*phonenumbers.PhoneNumber, error) {
	for n := 1; n <= 3 && n < len(digits) && digits[0] != '0'; n++ {
		parsed, err := strconv.ParseInt(digits[:n], 10, 32)
		code := int32(parsed)
		trunk, assigned := trunkPrefixes()[code]
		if err != nil || !assigned {
			continue
		}
		national := digits[n:]
		value, err := strconv.ParseUint(national, 10, 64)
		if err != nil || len(digits) > maxDigits || len(national) < 2 || national[0] == '0' || trunk != nil && trunk.MatchString(national) {
			break
		}
		return &phonenumbers.PhoneNumber{CountryCode: &code, NationalNumber: &value}, nil
	}
	return phonenumbers.Parse("+"+digits, "")
}

// trunkPrefixes holds what may stand in front of a national number, by assigned calling code; nil for nothing. Of countries
// that share a calling code, the main one's counts, as in phonenumbers.
var trunkPrefixes = sync.OnceValue(func() map[int32]*regexp.Regexp {
	prefixes := make(map[int32]*regexp.Regexp)
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil // then phonenumbers.Parse reads all of them
	}
	for _, m := range all.GetMetadata() {
		code := m.GetCountryCode()
		if m.GetId() != phonenumbers.GetRegionCodeForCountryCode(int(code)) {
			continue
		}
		prefixes[code] = nil
		if p := m.GetNationalPrefixForParsing(); p != "" {
			prefixes[code] = regexp.MustCompile("^(?:" + p + ")")
		}
	}
	return prefixes
})

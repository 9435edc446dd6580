package user

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// TestParsePhone holds parsePhone against phonenumbers.Parse: for every calling code, numbers that exist, and any digits.
func TestParsePhone(t *testing.T) {
	t.Parallel()
	codes := make([]string, 0, 300)
	for code := range phonenumbers.GetSupportedCallingCodes() {
		codes = append(codes, fmt.Sprint(code))
	}
	slices.Sort(codes)
	known := trunkPrefixes()
	if len(known) != len(codes) {
		t.Errorf("%d calling codes are known, of %d", len(known), len(codes))
	}
	var examples []string
	for region := range phonenumbers.GetSupportedRegions() {
		for kind := phonenumbers.FIXED_LINE; kind <= phonenumbers.UNKNOWN; kind++ {
			if n := phonenumbers.GetExampleNumberForType(region, kind); n != nil {
				examples = append(examples, phonenumbers.Format(n, phonenumbers.E164)[1:])
			}
		}
	}
	slices.Sort(examples)
	for _, digits := range append(examples, "", "0", "0120", "1") {
		comparePhone(t, digits)
	}
	digits := rapid.StringMatching(`[0-9]{0,15}`)
	for _, code := range codes {
		for i := range 60 {
			comparePhone(t, code+digits.Example(i))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom(append(codes, "")).Draw(t, "code")
		// What examples begin with, with digits put in front, is where trunk prefixes are.
		tail := rapid.OneOf(digits, rapid.Map(rapid.SampledFrom(examples), func(s string) string { return s[1:] })).Draw(t, "tail")
		comparePhone(t, code+rapid.StringMatching(`[0-9]{0,3}`).Draw(t, "put in front")+tail)
	})
}

func comparePhone(t interface {
	Helper()
	Errorf(string, ...any)
}, digits string,
) {
	t.Helper()
	got, err := parsePhone(digits)
	want, wanted := phonenumbers.Parse("+"+digits, "")
	if (err == nil) != (wanted == nil) || err == nil && !proto.Equal(got, want) {
		t.Errorf("+%s: %v, %v; want %v, %v", digits, got, err, want, wanted)
	}
}

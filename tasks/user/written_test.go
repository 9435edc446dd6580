package user_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/user"
)

// examples returns a mobile number of each country that has one, in E.164.
func examples(t *testing.T) map[string]string {
	t.Helper()
	numbers := map[string]string{}
	for region := range phonenumbers.GetSupportedRegions() {
		if n := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE); n != nil {
			numbers[region] = phonenumbers.Format(n, phonenumbers.E164)
		}
	}
	if len(numbers) < 200 {
		t.Fatalf("%d countries", len(numbers))
	}
	return numbers
}

// parses checks that in is read as want; "" for not at all.
func parses(t *testing.T, c user.Country, in, want string) {
	t.Helper()
	id, err := c.Parse(in)
	if id.Reveal() != want || (err == nil) != (want != "") {
		t.Errorf("%s: %q is read as %q, %v; want %q", c, in, id.Reveal(), err, want)
	}
}

func country(t testing.TB, s string) user.Country {
	t.Helper()
	c, err := user.ParseCountry(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return c
}

func TestFormsOfANumber(t *testing.T) {
	t.Parallel()
	for region, e164 := range examples(t) {
		digits := e164[1:]
		for _, in := range []string{
			e164, digits, "00" + digits, " " + e164 + " ", digits + ".0", digits + ".00", digits + ",0", e164 + ".0", digits + ".",
			"whatsapp:" + e164, "tel:" + e164, "WhatsApp: " + e164, digits + "@s.whatsapp.net", digits + "@c.us", digits + ":12@s.whatsapp.net",
			digits + ".0:3@s.whatsapp.net", "https://wa.me/" + digits, "wa.me/" + digits + "?text=Hi%201", "http://www.wa.me/" + e164 + "/",
			"https://api.whatsapp.com/send?phone=" + digits, "https://api.whatsapp.com/send/?phone=%2B" + digits + "&text=x", "whatsapp://send?phone=+" + digits,
			arabic(e164), fullWidth(e164), "\u202a" + e164 + "\u202c", "(" + e164 + ")",
		} {
			parses(t, user.Country{}, in, e164)
			parses(t, country(t, region), in, e164)
		}
		for _, in := range []string{
			digits + ".5", digits + ".25", digits + ",5", digits[:1] + "." + digits[1:] + "E+10", digits[:1] + "," + digits[1:4] + "e10", "-" + digits,
			digits + " " + digits, digits + "\n" + digits, e164 + ", " + e164, e164 + e164, digits + "/" + digits, digits + "-" + digits,
			digits + "@lid", digits + "@g.us", digits + "@example.com", digits + "--", "(" + digits, digits + ")", digits[:4] + "  -  -  " + digits[4:],
		} {
			parses(t, user.Country{}, in, "")
			parses(t, country(t, region), in, "")
		}
	}
}

func arabic(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '\u0660'
		}
		return r
	}, s)
}

func fullWidth(s string) string {
	return strings.Map(func(r rune) rune { return r - '!' + '\uff01' }, s)
}

// TestNationalNumbers writes each country's number as people there do.
func TestNationalNumbers(t *testing.T) {
	t.Parallel()
	for region, e164 := range examples(t) {
		n, err := phonenumbers.Parse(e164, "")
		if err != nil {
			t.Fatal(err)
		}
		national := phonenumbers.Format(n, phonenumbers.NATIONAL)
		if region == "AR" {
			national = "011 15-2345-6789" // the library writes one that it can't read
		}
		parses(t, country(t, region), national, e164)
		parses(t, country(t, region), phonenumbers.GetNationalSignificantNumber(n), e164)
		parses(t, country(t, region), phonenumbers.Format(n, phonenumbers.INTERNATIONAL), e164)
		parses(t, user.Country{}, phonenumbers.Format(n, phonenumbers.INTERNATIONAL), e164)
	}
}

// TestNationalNumbersStayInTheirCountry writes random numbers of each country in national form, as
// people there do. Without a country none with separators may be read as another country's.
func TestNationalNumbersStayInTheirCountry(t *testing.T) {
	t.Parallel()
	numbers := examples(t)
	regions := slices.Sorted(maps.Keys(numbers))
	rapid.Check(t, func(t *rapid.T) {
		region := rapid.SampledFrom(regions).Draw(t, "region")
		e164 := numbers[region]
		end := rapid.StringMatching(`[0-9]{6}`).Draw(t, "end")
		n, err := phonenumbers.Parse(e164[:max(len(e164)-len(end), 4)]+end, "")
		if err != nil || !phonenumbers.IsValidNumber(n) {
			return
		}
		national := phonenumbers.Format(n, phonenumbers.NATIONAL)
		if !strings.ContainsAny(national, " -()") {
			return
		}
		if id, err := user.Parse(national); err == nil {
			t.Fatalf("%s: %q is read as %q", region, national, id.Reveal())
		}
	})
}

// TestTwoNumbersAreNeverOne joins two numbers in every way that a cell may hold them.
func TestTwoNumbersAreNeverOne(t *testing.T) {
	t.Parallel()
	numbers := examples(t)
	var all []string
	for _, e164 := range numbers {
		all = append(all, e164)
	}
	rapid.Check(t, func(t *rapid.T) {
		pick := rapid.SampledFrom(all)
		one, two := pick.Draw(t, "one"), pick.Draw(t, "two")
		if rapid.Bool().Draw(t, "without plus") {
			one, two = one[1:], two[1:]
		}
		by := rapid.SampledFrom([]string{" ", ",", ", ", ";", "/", " / ", "|", "\n", "\t", " - ", "-", " or ", " & ", ".", " ::: ", "\u200b", "\u00a0", "(", ") ("}).Draw(t, "by")
		if id, err := user.Parse(one + by + two); err == nil {
			t.Fatalf("%q is read as %q", one+by+two, id.Reveal())
		}
	})
}

// olderIDs are WhatsApp IDs that today's numbering plans refuse, or don't have, by country.
var olderIDs = map[string]string{ //nolint:gochecknoglobals // never changes
	"Mexico, 1 before the area code": "5215512345678",
	"Brazil, no ninth digit":         "559281723241",
	"Brazil, São Paulo":              "551187654321",
	"Argentina, 9 before the area":   "5491112345678",
	"Ivory Coast, Orange":            "22507123456",
	"Ivory Coast, MTN":               "22545123456",
	"Benin":                          "22997123456",
	"Gabon, with its old zero":       "24107123456",
	"Gabon, shorter":                 "2417123456",
	"Vietnam":                        "841681234567",
	"Cameroon":                       "23777123456",
	"Guinea":                         "22460123456",
	"Guinea-Bissau":                  "2455123456",
	"Mauritius":                      "2307123456",
	"Ecuador":                        "59391234567",
	"Timor-Leste":                    "6707712345",
	"Egypt":                          "20101234567",
	"Georgia":                        "99599123456",
	"Kosovo, by Monaco's code":       "37744123456",
	"Kosovo, by Slovenia's code":     "38649123456",
	"Palestine, by Israel's code":    "972591234567",
	"Meta's test numbers":            "15550001234",
	"a number of the simulator":      "15550999521",
}

func TestOlderIDsGoInAsTheyComeOut(t *testing.T) {
	t.Parallel()
	for name, id := range olderIDs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []string{id, "+" + id, "00" + id, id + "@s.whatsapp.net", "https://wa.me/" + id, id + ".0"} {
				parses(t, user.Country{}, in, "+"+id)
			}
			parses(t, country(t, "US"), "+"+id, "+"+id)
		})
	}
}

func TestParseCountry(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"US": "US", "us": "US", "USA": "US", " de ": "DE", "UK": "GB", "+1": "US", "1": "US", "001": "US", "+1-876": "US", "1242": "US", "+91": "IN", "0091": "IN", "91": "IN",
		"+44": "GB", "\uff0b\uff19\uff11": "IN", "7": "RU", "225": "CI",
	} {
		if c, err := user.ParseCountry(in); err != nil || c.String() != want || c.IsZero() {
			t.Errorf("%q: %q, %v", in, c, err)
		}
	}
	for _, in := range []string{"", "Mars", "United States", "EU", "ZZ", "+999", "800", "0", "+", "+16505551234", "U", "001001"} {
		if c, err := user.ParseCountry(in); err == nil || !c.IsZero() || len(in) > 3 && strings.Contains(err.Error(), in) {
			t.Errorf("%q: %q, %v", in, c, err)
		}
	}
}

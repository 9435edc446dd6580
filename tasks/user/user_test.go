package user_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

func TestParse(t *testing.T) {
	t.Parallel()
	accepted := map[string]string{
		"+16505551234":                   "+16505551234",
		"16505551234":                    "+16505551234",
		"0016505551234":                  "+16505551234",
		" +1 (650) 555-1234 ":            "+16505551234",
		"+1.650.555.1234":                "+16505551234",
		"+1\u00a0650\u2011555\u20131234": "+16505551234",
		"\u202a+16505551234\u202c":       "+16505551234",
		"+44 (0)20 7946 0018":            "+442079460018",
		"+39 06 1234 5678":               "+390612345678",
		"+15550001234":                   "+15550001234",
		"+5592981723241":                 "+5592981723241",
		"US.13491208655302741918":        "US.13491208655302741918",
	}
	for in, want := range accepted {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			id, err := user.Parse(in)
			if err != nil || id.Reveal() != want {
				t.Fatalf("Parse = %q, %v; want %q", id.Reveal(), err, want)
			}
			again, err := user.FromCanonical(id.Reveal())
			if err != nil || again != id {
				t.Fatalf("FromCanonical(Reveal()) = %v, %v", again, err)
			}
		})
	}
	rejected := map[string]string{
		"":                               "empty",
		"   ":                            "empty",
		"hello":                          "character",
		"+1650555CALL":                   "character",
		"12345":                          "too short",
		"+12345678":                      "too short for its country",
		"06505551234":                    "no country code",
		"+06505551234":                   "no country code",
		"+999123456789":                  "calling code",
		"+1650555123412345":              "too long",
		"+165055512345":                  "too long for its country",
		"+1+6505551234":                  "plus sign",
		"++16505551234":                  "plus sign",
		"()-":                            "no digits",
		"US.ENT.12345":                   "parent",
		"us.12345678":                    "capitals",
		"US.1234_5678":                   "letters and digits",
		"US." + strings.Repeat("1", 129): "too long",
	}
	for in, want := range rejected {
		t.Run("not "+in, func(t *testing.T) {
			t.Parallel()
			id, err := user.Parse(in)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("Parse = %q, %v; want an error with %q", id.Reveal(), err, want)
			}
		})
	}
}

func TestNoVerbShowsTheNumber(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"+16505551234", "US.13491208655302741918"} {
		id, err := user.Parse(number)
		if err != nil {
			t.Fatal(err)
		}
		outer := struct {
			ID    user.ID
			inner user.ID
		}{id, id}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T", "%p"} {
			for _, v := range []any{id, &id, outer, &outer, []user.ID{id}, map[user.ID]user.ID{id: id}} {
				if s := fmt.Sprintf(verb, v); strings.Contains(s, number[3:]) {
					t.Errorf("%s of %T shows %q", verb, v, s)
				}
			}
		}
		b, err := json.Marshal(outer)
		if err != nil || strings.Contains(string(b), number[3:]) {
			t.Errorf("json: %s, %v", b, err)
		}
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"User has not messaged in the last 24 hours": "User has not messaged in the last 24 hours",
		"user +16505551234 is unknown":               "user … is unknown",
		"16505551234":                                "…",
		"+1 (650) 555-1234 failed":                   "… failed",
		"(#131047) of US.13491208655302741918":       "(#131047) of …",
		"US.abcdefghij is unknown":                   "… is unknown",
		"":                                           "",
		// As people and programs write them:
		"+1\u00a0650\u00a0555\u00a01234 failed":                               "… failed",
		"+1 650\u2011555\u20131234":                                           "…",
		"+1\u202f(650)\u2009555\u20141234":                                    "…",
		"\u202a+1650555\u200b1234\u202c":                                      "…",
		"[+1] 650.555-1234":                                                   ".…",
		"+1 - (650) - 555 - 1234 failed":                                      "… failed",
		"+\uff11\uff16\uff15\uff10\uff15\uff15\uff15\uff11\uff12\uff13\uff14": "…",
		"\u0661\u0666\u0665\u0660\u0665\u0665\u0665\u0661":                    "…",
		"16505551234\xff":                                                     "…?",
		// Nothing to hide: the text stays as it is.
		"Le numéro\u00a0: 24\u2013hours [sic]": "Le numéro\u00a0: 24\u2013hours [sic]",
		"not UTF-8: \xff":                      "not UTF-8: \xff",
	} {
		if got := user.Scrub(in); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"+16505551234", "US.1349", "00 44 20", "\xff", "+1 650-555-1234", "919876543210.0", "5215512345678", "(646) 555-1234", "4930123 4930124", "1,65E+10",
		"whatsapp:+16505551234", "16505551234@s.whatsapp.net", "https://wa.me/16505551234?text=x", "\u0661\u0666", "\uff0b\uff11", "+44 (0)20 7946 0018",
	} {
		f.Add(s)
	}
	us := country(f, "US")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range []user.Country{{}, us} {
			id, err := c.Parse(s)
			if err != nil {
				if len(s) > 6 && strings.Contains(err.Error(), s) && !strings.Contains(s, " ") {
					t.Fatalf("the error shows its input: %v", err)
				}
				continue
			}
			for _, c := range []user.Country{{}, us} {
				if again, err := c.Parse(id.Reveal()); err != nil || again != id {
					t.Fatalf("%q parsed to %q, which parses to %q, %v", s, id.Reveal(), again.Reveal(), err)
				}
			}
			if !id.IsBSUID() {
				checkGroups(t, s, id.Reveal())
			}
		}
	})
}

var (
	digits     = regexp.MustCompile(`\p{Nd}+`)
	separators = regexp.MustCompile(`^[\p{Zs}\p{Cf}]*[\p{Pd}\x{2212}.()\[\]（）．\p{Zs}\p{Cf}]{0,5}[\p{Zs}\p{Cf}]*$`)
)

// checkGroups is the rule that no two groups of digits are joined across what people don't put
// between them, and that no two of them are numbers. Links, WhatsApp's IDs and fractions of zeros have more digits than
// their number.
func checkGroups(t *testing.T, s, read string) {
	t.Helper()
	if strings.ContainsAny(s, "@:/") {
		return
	}
	groups, long := digits.FindAllStringIndex(s, -1), 0
	for i, g := range groups {
		if utf8.RuneCountInString(s[g[0]:g[1]]) >= 7 {
			long++
		}
		if i > 0 && !separators.MatchString(s[groups[i-1][1]:g[0]]) && strings.Trim(s[g[0]:g[1]], "0\u0660") != "" {
			t.Fatalf("%q was read as %q, across %q", s, read, s[groups[i-1][1]:g[0]])
		}
	}
	if long > 1 && strings.Trim(s[groups[len(groups)-1][0]:groups[len(groups)-1][1]], "0") != "" {
		t.Fatalf("%q was read as %q, and is more than one number", s, read)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := user.Parse("+1 650-555-1234"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScrub(b *testing.B) {
	for name, text := range map[string]string{
		"nothing": "User has not messaged in the last 24 hours",
		"number":  "The number +16505551234 is not on WhatsApp",
		"spaced":  "The number +1\u00a0650\u00a0555\u00a01234 is not on WhatsApp",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				user.Scrub(text)
			}
		})
	}
}

package ledger

import (
	"strings"
	"testing"

	"github.com/wablock/wablock/tasks/user"
)

// FuzzParse feeds the parsers what Redis could hold or answer: none panics, none takes for a
// user, a record or a settlement what has not its form.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"b w i 0 1732987654321000 - - 0 0",
		"u d r 12 1732987654321000 claim-1 16505550001 1732987654321 1732987650000\n{\"code\":131047,\"at\":1}",
		"b s b 1 99999999999999999999 - - 0 0\nnot JSON",
		"+16505550001 1732987654321000 3",
		"US.13491208655302741918 1 0",
		"s 0 0", "l 0 0", "d 12 1732987654321", "", "\n", " ", "- - -",
	} {
		f.Add(seed)
	}
	alice, err := user.FromCanonical("+16505550001")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := parseEntry(alice, text)
		if e.User != alice || (e.State == Unknown) != (e == Entry{User: alice}) {
			t.Errorf("half an entry: %+v", e)
		}
		if e.State != Unknown && len(strings.Fields(strings.SplitN(text, "\n", 2)[0])) != 9 {
			t.Errorf("an entry without nine words: %+v", e)
		}
		if c, ok := parseClaimed(text); ok && c.User.IsZero() {
			t.Errorf("a zero user was claimed: %+v", c)
		}
		if _, err := parseSettled(text); err == nil && len(strings.Fields(text)) != 3 {
			t.Error("a settlement without three words")
		}
	})
}

package user

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unique"
)

// ID is one user of WhatsApp, in canonical form: "+" and digits (E.164), or a BSUID. It is
// comparable within one process, may be a map key, and is safe for concurrent use. The zero ID
// names no user.
//
// Workers make millions of them, so a number is kept as a number. It is kept scrambled: fmt
// prints the unexported fields of an outer struct as they are, without asking any method.
type ID struct {
	phone uint64 // the digits, scrambled; 0 for a BSUID
	bsuid unique.Handle[string]
}

// scramble is another one in each process. No number has its highest bit, so no scrambled
// number is 0.
var scramble = newScramble() //nolint:gochecknoglobals // never changes

func newScramble() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return binary.NativeEndian.Uint64(b[:]) | 1<<63
}

// FromCanonical returns the ID of a string that Reveal gave: "+" and 7 to 15 digits, or a
// BSUID. It checks the form alone, at the cost of a scan; input from outside goes through
// [Parse]. The error is an [*InvalidError], and holds no part of s.
func FromCanonical(s string) (ID, error) {
	if strings.HasPrefix(s, "+") {
		if reason := checkDigits(s[1:]); reason != "" {
			return ID{}, &InvalidError{Reason: reason}
		}
		var n uint64
		for i := 1; i < len(s); i++ {
			n = 10*n + uint64(s[i]-'0')
		}
		return ID{phone: n ^ scramble}, nil
	}
	if reason := checkBSUID(s); reason != "" {
		return ID{}, &InvalidError{Reason: reason}
	}
	return ID{bsuid: unique.Make(s)}, nil
}

// Reveal returns the canonical form in clear, "" for the zero ID. For the task codec, the
// ledger, the API client and answers to people; never for logs, errors or metrics.
func (id ID) Reveal() string {
	switch {
	case id.IsZero():
		return ""
	case id.phone == 0:
		return id.bsuid.Value()
	}
	var b [1 + maxDigits]byte
	return string(strconv.AppendUint(append(b[:0], '+'), id.phone^scramble, 10))
}

// IsZero reports whether id names no user.
func (id ID) IsZero() bool { return id == ID{} }

// IsBSUID reports whether id is a business-scoped user ID; the API then wants it as
// "user_id", not as "user".
func (id ID) IsBSUID() bool { return id.phone == 0 && !id.IsZero() }

// String masks: "+165…34" for a number, "US.…8742" for a BSUID.
func (id ID) String() string {
	if id.IsZero() {
		return "(none)"
	}
	s := id.Reveal()
	if id.IsBSUID() {
		return s[:3] + "…" + tail(s[3:], 4)
	}
	return s[:4] + "…" + tail(s[4:], 2)
}

// tail returns the last n bytes of s, or less when s is too short for that to hide anything.
func tail(s string, n int) string {
	if len(s) < 2*n {
		return ""
	}
	return s[len(s)-n:]
}

// Format masks under every verb.
func (id ID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, id.String()) }

// LogValue masks.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// MarshalText masks, so that a number cannot leave by encoding/json without an explicit Reveal.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Compare orders IDs by canonical form, for sorting.
func Compare(a, b ID) int { return strings.Compare(a.Reveal(), b.Reveal()) }

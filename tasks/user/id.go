package user

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unique"
)

// ID is one user of WhatsApp, in canonical form: "+" and digits (E.164), or a BSUID. It is
// comparable, may be a map key, and is safe for concurrent use. The zero ID names nobody.
type ID struct{ h unique.Handle[string] }

// FromCanonical returns the ID of a string that Reveal gave: "+" and 7 to 15 digits, or a
// BSUID. It checks the form alone, at the cost of a scan; input from outside goes through
// [Parse]. The error is an [*InvalidError], and holds no part of s.
func FromCanonical(s string) (ID, error) {
	if strings.HasPrefix(s, "+") {
		if reason := checkDigits(s[1:]); reason != "" {
			return ID{}, &InvalidError{Reason: reason}
		}
		return ID{unique.Make(s)}, nil
	}
	if reason := checkBSUID(s); reason != "" {
		return ID{}, &InvalidError{Reason: reason}
	}
	return ID{unique.Make(s)}, nil
}

// Reveal returns the canonical form in clear, "" for the zero ID. For the task codec, the
// ledger, the API client and answers to whoever asked; never for logs, errors or metrics.
func (id ID) Reveal() string {
	if id.IsZero() {
		return ""
	}
	return id.h.Value()
}

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// IsBSUID reports whether id is a business-scoped user ID; the API then wants it as
// "user_id", not as "user".
func (id ID) IsBSUID() bool { return !id.IsZero() && id.h.Value()[0] != '+' }

// String masks: "+165…34" for a number, "US.…8742" for a BSUID.
func (id ID) String() string {
	if id.IsZero() {
		return "(nobody)"
	}
	s := id.h.Value()
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

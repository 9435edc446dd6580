// Package secret holds values that must not be seen: access tokens, app secrets, passwords.
// They hide by type: no verb of fmt, no encoder and no logger shows one.
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[secret]"

// String is a secret text. The zero String is empty. It is safe for concurrent use.
type String struct{ v *string } // a pointer: fmt prints an address even from unexported fields

// New returns s as a secret.
func New(s string) String {
	if s == "" {
		return String{}
	}
	return String{&s}
}

// Reveal returns the text in clear, for the request that carries it and nothing else.
func (s String) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.v == nil }

// Equal reports whether both hold the same text. (== compares identities.)
func (s String) Equal(t String) bool { return s.Reveal() == t.Reveal() }

// Matches is Equal for texts from outside: its time reveals nothing of s.
func (s String) Matches(text string) bool {
	have, got := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(have[:], got[:]) == 1
}

// Sign returns the HMAC-SHA256 of a body under the secret.
func (s String) Sign(body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(s.Reveal()))
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// String hides.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// Format hides under every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue hides.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

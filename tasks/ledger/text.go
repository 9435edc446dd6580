package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Text holds who asked for something, and the reason. Many jobs share one, so it is stored once.
type Text struct {
	By        string `json:"by,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Reference string `json:"reference,omitempty"`
	// Standing says that a block is wanted until a newer request comes: where the API allows none yet, since the
	// user has not written, it waits for that.
	Standing bool `json:"standing,omitempty"`
	// Unparked says that a call is to be made for a block although it is known that the user has not written.
	Unparked bool `json:"unparked,omitempty"`
}

// The most characters of each part of a Text.
const (
	MaxBy        = 100
	MaxReason    = 500
	MaxReference = 200
)

// Check reports what is wrong with t: each part is bounded, and printable on one line.
func (t Text) Check() error {
	return errors.Join(CheckText("the requester", t.By, MaxBy), CheckText("the reason", t.Reason, MaxReason), CheckText("the reference", t.Reference, MaxReference))
}

// CheckText reports what is wrong with a text that people are shown: it has at most limit characters, and is printable on
// one line.
func CheckText(what, s string, limit int) error {
	if n := utf8.RuneCountInString(s); n > limit {
		return fmt.Errorf("%s has %d characters: allowed are %d", what, n, limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not UTF-8 text", what)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("%s has a control character, a line break or another that is not printable: write it on one line", what)
		}
	}
	return nil
}

// digestSize is enough for the texts of one phone number ID: 66 bits.
const digestSize = 11

// Digest returns a short name of t, "" for no text.
func (t Text) Digest() string {
	if t == (Text{}) {
		return ""
	}
	b, _ := json.Marshal(t) // strings alone
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])[:digestSize]
}

// IsDigest reports whether s can stand in a record as the digest of a text.
func IsDigest(s string) bool {
	if len(s) != digestSize {
		return false
	}
	for _, r := range s {
		if !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			return false
		}
	}
	return true
}

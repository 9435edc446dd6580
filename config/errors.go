package config

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnset is returned, wrapped, when something that a command needs was not configured.
var ErrUnset = errors.New("not configured")

// ValueError is a setting that cannot be taken. Its text names the setting, where it came from,
// its value (unless that may hold a secret) and what is allowed.
type ValueError struct {
	Variable string // WABLOCK_RATE, or phone_numbers[0].rate
	Origin   string // "the environment", "--rate", "line 3 of wablock.yaml", "the default"
	Value    string // as it may be shown
	Hidden   bool   // Value was left out
	Allowed  string
	Reason   string // why exactly, "" when Allowed says it
}

func (e *ValueError) Error() string {
	var b strings.Builder
	b.WriteString("config: " + e.Variable)
	if e.Hidden {
		b.WriteString(" (value not shown")
	} else {
		b.WriteString(fmt.Sprintf(" is %q (", e.Value))
	}
	b.WriteString(", from " + e.Origin + ")")
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	b.WriteString("; allowed: " + e.Allowed)
	return strings.Replace(b.String(), "(, ", "(", 1)
}

// maxShown bounds how much of a wrong value is repeated.
const maxShown = 80

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

// maxShown bounds, in bytes, what is shown of one text; maxParsed what is looked at at all.
const (
	maxShown  = 2 << 10
	maxParsed = 1 << 20
)

const hidden = "…"

// maskBytes returns what may be shown of a payload or a result of unknown making. JSON is masked
// value by value, because the page decodes it and would undo any escape that hid a number.
func maskBytes(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case len(b) > maxParsed || !printable(b):
		return fmt.Sprintf("%d bytes", len(b))
	}
	if v, ok := decodeJSON(b); ok {
		return cut(encodeJSON(maskValue(v)), len(b))
	}
	return cut(maskText(string(b)), len(b))
}

// graphToken matches what could be a token of the Graph API, which has been known to repeat a
// refused one in its message.
var graphToken = regexp.MustCompile(`\bEAA[0-9A-Za-z]{12,}|(?i:\bbearer) +[^\s"',]{8,}`)

// maskText returns s with what could be a phone number, a BSUID or an access token left out.
func maskText(s string) string {
	if strings.Contains(s, "EAA") || strings.Contains(strings.ToLower(s), "bearer") {
		s = graphToken.ReplaceAllString(s, hidden)
	}
	return user.Scrub(s)
}

// ownNumber is how errors of wablock's name a phone number ID, which is no user's number, and
// which operators need.
var ownNumber = regexp.MustCompile(`\bphone number ID [0-9]{1,32}\b`)

// maskReason masks the text of an error of wablock's own, and leaves phone number IDs in it.
func maskReason(s string) string {
	ids := ownNumber.FindAllString(s, -1)
	var b strings.Builder
	for i, rest := range ownNumber.Split(s, -1) {
		b.WriteString(maskText(rest))
		if i < len(ids) {
			b.WriteString(ids[i])
		}
	}
	return b.String()
}

// maskValue masks a decoded JSON value, keys included.
func maskValue(v any) any {
	switch v := v.(type) {
	case string:
		return maskText(v)
	case json.Number:
		return maskNumber(v)
	case []any:
		for i := range v {
			v[i] = maskValue(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[maskText(k)] = maskValue(e)
		}
		return out
	default:
		return v
	}
}

// maskNumber hides a number that the page could print as a phone number's digits.
func maskNumber(n json.Number) any {
	if maskText(n.String()) != n.String() {
		return hidden
	}
	if strings.ContainsAny(n.String(), "eE") {
		if f, err := n.Float64(); err != nil || math.Abs(f) >= 1e6 {
			return hidden
		}
	}
	return n
}

// decodeJSON reads one JSON value and nothing after it.
func decodeJSON(b []byte) (any, bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, false
	}
	_, err := dec.Token()
	return v, err == io.EOF
}

// encodeJSON encodes what came from decodeJSON or from structs of this package; neither can fail.
func encodeJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// cut shortens a text that is too long to be shown, and says how long the whole is.
func cut(s string, size int) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes)", s[:end], size)
}

func printable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
	}
	return true
}

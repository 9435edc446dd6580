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

// maxShown and maxParsed bound, in bytes, the text that is shown and the text that is read.
const (
	maxShown  = 2 << 10
	maxParsed = 1 << 20
)

const hidden = "…"

// maskBytes masks a payload or a result of unknown origin. JSON is masked value by value, because
// the page decodes it, which would undo an escape that hid a number.
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

// graphToken matches a possible token of the Graph API, which has been known to repeat a refused
// one in its message.
var graphToken = regexp.MustCompile(`\bEAA[0-9A-Za-z]{12,}|(?i:\bbearer) +[^\s"',]{8,}`)

// maskText returns s without possible phone numbers, BSUIDs and access tokens.
func maskText(s string) string {
	if strings.Contains(s, "EAA") || strings.Contains(strings.ToLower(s), "bearer") {
		s = graphToken.ReplaceAllString(s, hidden)
	}
	return user.Scrub(s)
}

// ownName matches the IDs whose digits belong to no user: a dead letter's, which starts with the
// phone number ID, and a UUID, alone or as a job's ID with the number of its task.
var ownName = regexp.MustCompile(`^(?:[0-9]{1,32}:[a-p]{32}|` +
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?::[0-9]{1,6})?)$`)

// dateInName matches a day, as people put it into the names of jobs.
var dateInName = regexp.MustCompile(`(^|[^0-9])20[0-9]{2}[-.]?(?:0[1-9]|1[0-2])[-.]?(?:0[1-9]|[12][0-9]|3[01])($|[^0-9])`)

// maskName masks an ID or a queue's name.
func maskName(name string) string {
	if ownName.MatchString(name) {
		return name
	}
	if undated := dateInName.ReplaceAllString(name, "${1}date$2"); maskText(undated) == undated {
		return name
	}
	return maskText(name)
}

// maskPath masks each name in a path of the API.
func maskPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		name, run := strings.CutSuffix(s, ":run")
		segments[i] = maskName(name)
		if run {
			segments[i] += ":run"
		}
	}
	return cut(strings.Join(segments, "/"), len(path))
}

// innocent matches what has many digits in texts of wablock's and belongs to no user: phone number IDs, in words and in
// commands, and times.
var innocent = regexp.MustCompile(`\bphone number ID [0-9]{1,32}\b|--phone-number-id [0-9]{1,32}\b|\b20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z`)

// maskReason masks the text of an error of wablock's own, but for phone number IDs and times.
func maskReason(s string) string {
	ids := innocent.FindAllString(s, -1)
	var b strings.Builder
	for i, rest := range innocent.Split(s, -1) {
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

// cut shortens a text that is too long to be shown, and adds the length of the whole.
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

package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

// ErrInvalidRequest marks a call that was not sent because its arguments are invalid.
var ErrInvalidRequest = errors.New("client: invalid request")

// NoCode stands in [APIError.Code] and [Rule.Code] where the API gave no code. Zero would be
// wrong: it is a code of the API.
const NoCode = -1

// APIError is an error that the API stated, about a call or about one user of it. Several users
// may share one value: don't change it. Its texts passed through [user.Scrub] and are cut to a
// bound.
type APIError struct {
	Code        int // NoCode when not given
	Subcode     int // 0 when not given
	Type        string
	Message     string
	Details     string // of error_data, else error_user_msg
	FBTraceID   string // for Meta's support; in a user's error that of the call
	IsTransient bool
	// Meta is zero in a user's error: it describes the call.
	Meta Meta
}

func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("client: the API answered ")
	if e.Code == NoCode {
		b.WriteString("an error without a code")
	} else {
		b.WriteString("code " + strconv.Itoa(e.Code))
	}
	if e.Subcode != 0 {
		b.WriteString(", subcode " + strconv.Itoa(e.Subcode))
	}
	for _, text := range []string{e.Message, e.Details} {
		if text != "" {
			b.WriteString(": " + text)
		}
	}
	if e.FBTraceID != "" {
		b.WriteString(" (fbtrace_id " + e.FBTraceID + ")")
	}
	return b.String()
}

// ResponseError is an answer that could not be read: empty, cut off, too long, not JSON (the
// page of a gateway), a redirect, or JSON of another kind. The state of the users is unknown.
type ResponseError struct {
	What string // "an empty body"; never content of the answer
	Meta Meta
	err  error
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("client: status %d with %s in place of an answer", e.Meta.Status, e.What)
}

// Unwrap returns the error of reading the answer, or nil.
func (e *ResponseError) Unwrap() error { return e.err }

// TransportError is a call without an answer: no connection, a cut one, a timeout, a canceled
// context. The state of the users is unknown. Its text holds no URL.
type TransportError struct{ err error }

func (e *TransportError) Error() string { return "client: no answer: " + transportText(e.err) }

// Unwrap returns the cause without the URL; errors.Is finds [context.DeadlineExceeded] and
// [context.Canceled] through it.
func (e *TransportError) Unwrap() error { return e.err }

// Timeout reports whether the call timed out.
func (e *TransportError) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.err)
	return ok && t.Timeout()
}

// Meta holds what an answer says besides the outcomes of users.
type Meta struct {
	Status int // HTTP
	// RetryAfter is the wait that the API asks for, 0 for none, at most 24 hours.
	RetryAfter time.Duration
	Usage      Usage
	FBTraceID  string // of the top-level error
}

// Usage is the used share of Meta's call budgets, from the headers x-business-use-case-usage
// and x-app-usage. They are sent only after some use, so zeros mean nothing.
type Usage struct {
	Business int // highest percentage of any business account and metric
	App      int // highest percentage of any metric of the app
	// RegainAccess is the longest time until a business account may call again, 0 when none
	// is locked out, at most 24 hours.
	RegainAccess time.Duration
	// Accounts are the business accounts (WABA IDs) that the header names, sorted.
	Accounts []string
}

// Percent returns the higher of both percentages.
func (u Usage) Percent() int { return max(u.Business, u.App) }

// MetaOf returns the Meta of the answer behind an error of this package, the zero Meta when there
// was none.
func MetaOf(err error) Meta {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.Meta
	}
	if e, ok := errors.AsType[*ResponseError](err); ok {
		return e.Meta
	}
	return Meta{}
}

// wireError is an error object of the Graph API. Of code, Meta's pages show a number and a
// string; of error_data an object and a string.
type wireError struct {
	Message     string    `json:"message"`
	Type        string    `json:"type"`
	Code        wireCode  `json:"code"`
	Subcode     wireCode  `json:"error_subcode"`
	ErrorData   errorData `json:"error_data"`
	UserMessage string    `json:"error_user_msg"` // of some errors, for people
	FBTraceID   string    `json:"fbtrace_id"`
	IsTransient bool      `json:"is_transient"`
}

// maxCode is far above the API's codes (6 digits) and subcodes (7). A longer number might be
// anything, a phone number too, and is not a code.
const maxCode = 9_999_999

// wireCode is a code as number or string. Zero is a code, hence given.
type wireCode struct {
	value int
	given bool
}

func (c *wireCode) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(bytes.Trim(b, `" `)), 64)
	if err == nil && f >= 0 && f <= maxCode && f == math.Trunc(f) {
		*c = wireCode{int(f), true}
	}
	return nil
}

func (c wireCode) or(none int) int {
	if c.given {
		return c.value
	}
	return none
}

// text is a string that may come as a JSON number, as phone numbers do.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0:
		*t = text(b[1 : len(b)-1])
	case b[0] == '"':
		_ = json.Unmarshal(b, (*string)(t))
	case b[0] >= '0' && b[0] <= '9':
		*t = text(b)
	}
	return nil
}

// errorData is the details, in either place.
type errorData string

func (d *errorData) UnmarshalJSON(b []byte) error {
	var object struct {
		Details string `json:"details"`
	}
	var text string
	switch b[0] {
	case '{':
		_ = json.Unmarshal(b, &object) // details of another type are left out
		*d = errorData(object.Details)
	case '"':
		_ = json.Unmarshal(b, &text)
		*d = errorData(text)
	}
	return nil
}

// parseError reads an error object, or a bare string in its place. It returns nil when there
// is none.
func parseError(raw json.RawMessage) *APIError {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var w wireError // raw is valid JSON: at worst its fields are of other types, and stay zero
	if raw[0] == '"' {
		_ = json.Unmarshal(raw, &w.Message)
	} else {
		_ = json.Unmarshal(raw, &w) // an error of an unknown shape is still one
	}
	return &APIError{
		Code:        w.Code.or(NoCode),
		Subcode:     w.Subcode.or(0),
		Type:        clean(w.Type),
		Message:     clean(w.Message),
		Details:     clean(cmp.Or(string(w.ErrorData), w.UserMessage)),
		FBTraceID:   clean(w.FBTraceID),
		IsTransient: w.IsTransient,
	}
}

// parseErrors reads the errors of one user: a list of error objects, of which the first
// counts, or one object alone.
func parseErrors(raw json.RawMessage) *APIError {
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
			return nil
		}
		raw = list[0]
	}
	return parseError(raw)
}

// wholeCall reads the top-level error of an answer; nil when it has none.
func wholeCall(raw json.RawMessage, meta *Meta) *APIError {
	e := parseError(raw)
	if e != nil {
		meta.FBTraceID = e.FBTraceID
		e.Meta = *meta
	}
	return e
}

// maxText bounds a text of the API, in bytes, before it goes into errors, and from there into
// Redis and onto pages.
const maxText = 512

// tokenForm matches an access token of the Graph API, or the start of one.
var tokenForm = regexp.MustCompile(`\bEAA[0-9A-Za-z]{6,}`)

// hideToken removes the call's own token from an answer: errors of the Graph API about a token
// may quote it. A token so short that it could be a word of the answer is left.
func hideToken(body []byte, token string) []byte {
	if len(token) < 8 || !bytes.Contains(body, []byte(token)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(token), []byte("…"))
}

// clean makes a text of the API fit to be shown: one line, no user's number, no token, bounded.
func clean(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText] // a number cut in two here falls behind the bound below
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(user.Scrub(tokenForm.ReplaceAllString(s, "…")))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// stripURL drops the wrapper of net/http that shows the URL, whose query may hold
// appsecret_proof.
func stripURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// transportText describes the cause of a call without an answer. Addresses stay readable; the
// rest may quote what the other side sent and is cleaned.
func transportText(err error) string {
	switch {
	case err == nil:
		return "unknown cause"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Err != nil {
		text := e.Op + " " + e.Net
		if e.Addr != nil {
			text += " " + e.Addr.String()
		}
		return text + ": " + clean(e.Err.Error())
	}
	return clean(err.Error())
}

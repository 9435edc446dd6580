package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// decode reads a JSON object into v. Fields of another type than expected stay zero: what an
// answer says otherwise still counts. The error, a ResponseError, says what came and quotes
// nothing of it (as the errors of encoding/json do).
func decode(a answer, v any) error {
	err := json.Unmarshal(a.body, v)
	if err == nil && isObject(a.body) {
		return nil
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && isObject(a.body) {
		return nil
	}
	return &ResponseError{What: describe(a), Meta: a.meta}
}

func isObject(body []byte) bool {
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && body[0] == '{'
}

// describe says what kind of thing an answer is that is no JSON object.
func describe(a answer) string {
	body := bytes.TrimSpace(a.body)
	n := len(a.body)
	switch {
	case a.meta.Status >= 300 && a.meta.Status < 400:
		return "a redirect, which is not followed,"
	case len(body) == 0:
		return "an empty body"
	case body[0] == '<':
		return fmt.Sprintf("a page of HTML or XML (%d bytes)", n)
	}
	err := json.Unmarshal(body, new(json.RawMessage))
	syntax, bad := errors.AsType[*json.SyntaxError](err)
	switch {
	case !bad:
		return fmt.Sprintf("JSON that is no object (%d bytes)", n)
	case syntax.Offset >= int64(len(body)) && (body[0] == '{' || body[0] == '['):
		return fmt.Sprintf("JSON cut off after %d bytes", n)
	case body[0] == '{' || body[0] == '[':
		return fmt.Sprintf("broken JSON (%d bytes, wrong at byte %d)", n, syntax.Offset)
	}
	return fmt.Sprintf("%d bytes that are no JSON", n)
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

// maxCode is far above the API's codes (6 digits) and subcodes (7). What is longer might be
// anything, a phone number too, and is no code.
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

// errorData is the details, wherever they stand.
type errorData string

func (d *errorData) UnmarshalJSON(b []byte) error {
	var object struct {
		Details string `json:"details"`
	}
	var text string
	switch b[0] {
	case '{':
		_ = json.Unmarshal(b, &object) // details of another type are no details
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
		_ = json.Unmarshal(raw, &w) // an error of no known shape is still one
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

// text is a string that may come as a number: numbers of users are both.
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

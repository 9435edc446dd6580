package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// body holds the content of a request, read to its end.
type body struct {
	kind string // its media type
	text []byte
}

// The media types of bodies.
const (
	kindJSON  = "application/json"
	kindCSV   = "text/csv"
	kindPlain = "text/plain"
	kindNone  = "" // allows a request without a body
)

// readBody reads a body of one of some kinds, and no more than limit bytes of it, compressed or not.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, kinds ...string) (body, error) {
	if r.ContentLength == 0 && slices.Contains(kinds, kindNone) {
		return body{kindJSON, []byte("{}")}, nil
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := strings.ToLower(params["charset"]); err != nil || !slices.Contains(kinds, kind) || charset != "" && charset != "utf-8" && kind == kindJSON {
		return body{}, newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "send a Content-Type of "+strings.TrimSuffix(strings.Join(kinds, ", "), ", "))
	}
	if r.ContentLength > limit {
		return body{}, tooLarge(limit)
	}
	var in io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		if in, err = gzip.NewReader(in); err != nil {
			return body{}, unread(err, limit)
		}
	default:
		return body{}, newProblem(http.StatusUnsupportedMediaType, "unsupported-encoding", "send the body as it is, or with Content-Encoding: gzip")
	}
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return body{}, unread(err, limit)
	}
	if int64(len(text)) > limit {
		return body{}, tooLarge(limit)
	}
	return body{kind, text}, nil
}

func tooLarge(limit int64) *problem {
	return newProblem(http.StatusRequestEntityTooLarge, "body-too-large", fmt.Sprintf("the body has more than %d KiB: send several requests", limit>>10))
}

func unread(err error, limit int64) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit)
	}
	return newProblem(http.StatusBadRequest, "body-cut-off", "the body ended too early, came too slowly, or is not what its Content-Encoding says: nothing was done")
}

// field is one that a request may have: where its value goes, and what it has to be.
type field struct {
	into any
	want string
}

var plainName = regexp.MustCompile(`^[a-z_]{1,40}$`)

func malformed(detail string) *problem {
	return newProblem(http.StatusBadRequest, "malformed-body", detail)
}

// object reads a JSON object of these fields, each once at most, and of no others.
func (b body) object(fields map[string]field) error {
	dec := json.NewDecoder(bytes.NewReader(b.text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return malformed("the body is not a JSON object")
	}
	seen := make(map[string]bool, len(fields))
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return malformed("the body is not JSON")
		}
		f, known := fields[name]
		switch {
		case !known:
			return unknown(name)
		case seen[name]:
			return malformed("the body has the field " + name + " twice")
		}
		seen[name] = true
		if err := dec.Decode(f.into); err != nil {
			if p, ok := errors.AsType[*problem](err); ok {
				return p
			}
			if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
				return malformed("the body is not JSON")
			}
			return malformed("the field " + name + " is not " + f.want)
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return malformed("the body is not JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return malformed("there is more behind the JSON object")
	}
	return nil
}

// unknown refuses a field. A name that is not plain may hold a number.
func unknown(name string) *problem {
	if !plainName.MatchString(name) {
		name = "with another name"
	}
	return newProblem(http.StatusBadRequest, "unknown-field", "there is no field "+name+" in this request; /v1/openapi.json has those that there are")
}

// query reads fields from the query.
func query(r *http.Request, fields map[string]*string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return newProblem(http.StatusBadRequest, "malformed-query", "the query is malformed")
	}
	for name, v := range values {
		into, known := fields[name]
		switch {
		case !known:
			return unknown(name)
		case len(v) > 1:
			return newProblem(http.StatusBadRequest, "malformed-query", "the query has the field "+name+" twice")
		}
		*into = v[0]
	}
	return nil
}

// inputs is a list of users as they were written, of no more than most.
type inputs struct {
	list []string
	most int
}

var errNotStrings = errors.New("not a list of strings")

// UnmarshalJSON reads the list up to its bound.
func (in *inputs) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errNotStrings
	}
	for dec.More() {
		if len(in.list) == in.most {
			return newProblem(http.StatusRequestEntityTooLarge, "too-many-users", fmt.Sprintf("the request names more than %d users: send several", in.most))
		}
		t, err := dec.Token()
		s, ok := t.(string)
		if err != nil || !ok {
			return errNotStrings
		}
		in.list = append(in.list, s)
	}
	return nil
}

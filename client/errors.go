package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

var (
	// ErrListChanged says that the blocklist was changed while it was being listed (139102):
	// forget the pages and list again from the start.
	ErrListChanged = errors.New("client: the blocklist changed during the listing")
	// ErrUnauthorized says that the API refused the access token: read it again from its
	// source, or have it renewed.
	ErrUnauthorized = errors.New("client: the access token was refused")
	// ErrPhoneNumberID says that the API knows no such phone number ID, or none that the
	// token may see.
	ErrPhoneNumberID = errors.New("client: no such phone number ID")
	// ErrInvalidRequest says that a call was not sent because its arguments can't be.
	ErrInvalidRequest = errors.New("client: invalid request")
)

// NoCode stands in [APIError.Code] and [Rule.Code] where the API gave no code. Zero would be
// wrong: it is a code of the API.
const NoCode = -1

// APIError is an error that the API stated, about a call or about one user of it. Errors of
// several users may be one and the same value: don't change it. Its texts passed through
// [user.Scrub] and are cut to a bound.
type APIError struct {
	Code        int // NoCode when not given
	Subcode     int // 0 when not given
	Type        string
	Message     string
	Details     string // of error_data, else error_user_msg
	FBTraceID   string // for Meta's support; in a user's error that of the call
	IsTransient bool
	// Meta is zero in a user's error: how the call went is no fact about the user.
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

// Is matches [ErrListChanged], [ErrUnauthorized] and [ErrPhoneNumberID].
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrListChanged:
		return e.Code == codeListChanged
	case ErrUnauthorized:
		switch e.Code {
		case 0, 102, 104, 190:
			return true
		}
		return e.Code == NoCode && e.Meta.Status == http.StatusUnauthorized
	case ErrPhoneNumberID:
		return e.Code == 33 || e.Code == 803 ||
			e.Code == 100 && (e.Subcode == 33 || e.Meta.Status == http.StatusNotFound)
	}
	return false
}

// ResponseError is an answer that could not be read: empty, cut off, too long, no JSON (the
// page of a gateway), a redirect, or JSON of another kind. What became of the users is
// unknown.
type ResponseError struct {
	What string // "an empty body"; never content of the answer
	Meta Meta
	err  error
}

func (e *ResponseError) Error() string {
	return fmt.Sprintf("client: status %d with %s in place of an answer", e.Meta.Status, e.What)
}

// Unwrap returns what reading the answer failed with, or nil.
func (e *ResponseError) Unwrap() error { return e.err }

// Is matches [ErrUnauthorized] for a status of 401.
func (e *ResponseError) Is(target error) bool {
	return target == ErrUnauthorized && e.Meta.Status == http.StatusUnauthorized
}

// TransportError is a call without an answer: no connection, a cut one, a timeout, a
// cancelled context. What became of the users is unknown. Its text holds no URL.
type TransportError struct{ err error }

func (e *TransportError) Error() string { return "client: no answer: " + transportText(e.err) }

// Unwrap returns the cause without the URL; errors.Is finds [context.DeadlineExceeded] and
// [context.Canceled] through it.
func (e *TransportError) Unwrap() error { return e.err }

// Timeout reports whether time ran out.
func (e *TransportError) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.err)
	return ok && t.Timeout()
}

// canceled reports whether the caller gave up, which says nothing about the API.
func (e *TransportError) canceled() bool { return errors.Is(e.err, context.Canceled) }

// MetaOf returns what the answer behind an error of this package said beside its verdict,
// the zero Meta when there was none.
func MetaOf(err error) Meta {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.Meta
	}
	if e, ok := errors.AsType[*ResponseError](err); ok {
		return e.Meta
	}
	return Meta{}
}

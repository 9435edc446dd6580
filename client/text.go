package client

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

// maxText bounds a text of the API, in bytes, before it goes into errors, and from there into
// Redis and onto pages.
const maxText = 512

// clean makes a text of the API fit to be seen: one line, no user's number, bounded.
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
	s = strings.TrimSpace(user.Scrub(s))
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

// transportText describes the cause of a call without an answer. Addresses stay readable;
// anything else may quote what the other side sent and is cleaned.
func transportText(err error) string {
	switch {
	case err == nil:
		return "for a reason that is not known"
	case errors.Is(err, context.DeadlineExceeded):
		return "time ran out"
	case errors.Is(err, context.Canceled):
		return "the call was given up"
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

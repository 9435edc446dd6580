package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/user"
)

// maxText bounds a text of the API, in bytes, before it goes into errors, and from there into
// Redis and onto pages.
const maxText = 512

// tokenForm matches an access token of the Graph API, or the start of one.
var tokenForm = regexp.MustCompile(`\bEAA[0-9A-Za-z]{6,}`)

// hideToken takes the call's own token out of an answer: errors of the Graph API about a token may quote it. One so short
// that it could be a word of the answer is left.
func hideToken(body []byte, token string) []byte {
	if len(token) < 8 || !bytes.Contains(body, []byte(token)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(token), []byte("…"))
}

// clean makes a text of the API fit to be seen: one line, no user's number, no token, bounded.
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

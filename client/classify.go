package client

import (
	"errors"
	"net/http"
	"slices"
)

// Remedy is what to do about an error.
type Remedy int

const (
	// Retry later, with exponential back-off.
	Retry Remedy = iota
	// DeadLetter: trying again does not help until somebody has acted.
	DeadLetter
	// ListFull: dead-letter these users, and send no more blocks for the phone number until
	// there is room. Unblocks go on.
	ListFull
	// RateLimit: slow down for the phone number and shorten calls; uses up no attempt.
	RateLimit
	// AccountRateLimit: slow down for every phone number of the account.
	AccountRateLimit
	// Halt: keep all work, tell people, read the token again, probe.
	Halt
	// RestartListing: forget the pages and list again from the start.
	RestartListing
)

var remedyNames = [...]string{"retry", "dead-letter", "list full", "rate limit", "account rate limit", "halt", "restart listing"}

func (r Remedy) String() string { return nameOf(remedyNames[:], int(r)) }

// Scope is what an error is true of.
type Scope int

const (
	// ScopeCall: this request.
	ScopeCall Scope = iota
	// ScopeUser: one user; of a whole call, one of its users or more.
	ScopeUser
	// ScopePhoneNumber: all calls for the business number.
	ScopePhoneNumber
	// ScopeAccount: all calls for the business account or by the token.
	ScopeAccount
	// ScopeListing: the run of pages.
	ScopeListing
)

var scopeNames = [...]string{"call", "user", "phone number", "account", "listing"}

func (s Scope) String() string { return nameOf(scopeNames[:], int(s)) }

// nameOf names one of a few constants; a value that is none of them does not panic.
func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "undefined"
	}
	return names[i]
}

// Rule says what an error means and what to do about it.
type Rule struct {
	Code    int // NoCode for errors that have none
	Last    int // end of a range that starts at Code, itself in it; 0 for a single code
	Subcode int // 0 for any
	Name    string
	Scope   Scope
	Remedy  Remedy
	// UsesAttempt: the error counts among a user's attempts. While the API as a whole is down
	// (see Outage) the caller may let it pass uncounted.
	UsesAttempt bool
	// SplitCall: when it fails a whole call, halve the call until the culprits are alone. The
	// Remedy is theirs.
	SplitCall bool
	// Outage: when it fails a whole call, it may be the API that is down, not the call.
	Outage bool
	// Help tells an operator what to do.
	Help string
}

// Rules returns the table of codes, ordered by scope and kind, then the rules for errors that
// have no code. It is a copy.
func Rules() []Rule {
	return append(slices.Clone(table),
		ruleTransient, ruleServer, ruleUnreadable, ruleNetwork, ruleCanceled, ruleTooMany, ruleRefused, ruleNotSent, ruleUnknown)
}

// Classify says what an error of this package means, of a call or of one user: by code, then
// by is_transient, then by status. What it can't know is to be retried, at the price of an
// attempt.
func Classify(err error) Rule {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.Rule()
	}
	if e, ok := errors.AsType[*ResponseError](err); ok {
		if r, ok := byStatus(e.Meta.Status); ok {
			return r
		}
		return ruleUnreadable
	}
	if e, ok := errors.AsType[*TransportError](err); ok {
		if e.canceled() {
			return ruleCanceled
		}
		return ruleNetwork
	}
	if errors.Is(err, ErrInvalidRequest) {
		return ruleNotSent
	}
	return ruleUnknown
}

// Rule is [Classify] of e.
func (e *APIError) Rule() Rule {
	if r, ok := byCode(e.Code, e.Subcode); ok {
		return r
	}
	if e.IsTransient {
		return ruleTransient
	}
	if r, ok := byStatus(e.Meta.Status); ok {
		return r
	}
	return ruleUnknown
}

// byCode prefers a row that names the subcode to one that takes any.
func byCode(code, subcode int) (Rule, bool) {
	found := -1
	for i := range table {
		r := &table[i]
		if code != r.Code && (code < r.Code || code > r.Last) {
			continue
		}
		if r.Subcode == 0 && found < 0 || r.Subcode != 0 && r.Subcode == subcode {
			found = i
		}
	}
	if found < 0 {
		return Rule{}, false
	}
	return table[found], true
}

func byStatus(status int) (Rule, bool) {
	switch {
	case status == http.StatusTooManyRequests:
		return ruleTooMany, true
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ruleRefused, true
	case status == http.StatusRequestTimeout, status >= 500:
		return ruleServer, true
	}
	return Rule{}, false
}

package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// Remedy is the way to handle an error.
type Remedy int

const (
	// Retry later, with exponential back-off.
	Retry Remedy = iota
	// DeadLetter: a repeat does not help until a person or the user has acted.
	DeadLetter
	// ListFull: dead-letter these users, and send no more blocks for the phone number until
	// there is room. Unblocks go on.
	ListFull
	// RateLimit: slow down for the phone number and shorten calls; uses up no attempt.
	RateLimit
	// AccountRateLimit: slow down for every phone number of the account.
	AccountRateLimit
	// Halt: keep all work, alert operators, read the token again, probe.
	Halt
	// RestartListing: drop the pages and list again from the start.
	RestartListing
)

var remedyNames = [...]string{"retry", "dead-letter", "list full", "rate limit", "account rate limit", "halt", "restart listing"}

func (r Remedy) String() string { return nameOf(remedyNames[:], int(r)) }

// Scope is the range of calls that an error applies to.
type Scope int

const (
	// ScopeCall: this request.
	ScopeCall Scope = iota
	// ScopeUser: one user; in a whole call, one of its users or more.
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

// nameOf returns the name of a constant, and "undefined" for a value without one.
func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "undefined"
	}
	return names[i]
}

// Rule is the meaning of an error and its remedy.
type Rule struct {
	Code    int // NoCode for errors that have none
	Last    int // end of a range that starts at Code, itself in it; 0 for a single code
	Subcode int // 0 for any
	Name    string
	Scope   Scope
	Remedy  Remedy
	// UsesAttempt: the error counts as an attempt of the user. While whole calls fail one after
	// another, as in an outage, the caller need not count it.
	UsesAttempt bool
	// Permanent: to ask again for a dead-lettered user can't help.
	Permanent bool
	// Help is advice for an operator.
	Help string
}

// Rules returns the table of codes, ordered by scope and kind, then the rules for errors that
// have no code. It is a copy.
func Rules() []Rule {
	return append(slices.Clone(table),
		ruleTransient, ruleServer, ruleUnreadable, ruleNetwork, ruleCanceled, ruleTooMany, ruleRefused, ruleNotSent, ruleUnknown)
}

// CodeName returns a code of the API in a few words; code 0 is a failure without one.
func CodeName(code int) string {
	if r, ok := byCode(code, 0); ok && code != 0 {
		return r.Name
	}
	return ruleUnknown.Name
}

// Explain returns what a code says about a dead-lettered user, for people, and whether to ask again may
// help; code 0 is a failure without one.
func Explain(code int) (help string, redrive bool) {
	rule := ruleUnknown
	if code != 0 {
		if r, ok := byCode(code, 0); ok {
			rule = r
		}
	}
	return rule.Help, !rule.Permanent
}

// Classify returns the rule of an error of this package, about a call or about one user: by code,
// then by is_transient, then by status. An unknown error is retried and uses an attempt.
func Classify(err error) Rule {
	if e, ok := errors.AsType[*APIError](err); ok {
		return classifyAPI(e)
	}
	if e, ok := errors.AsType[*ResponseError](err); ok {
		if r, ok := byStatus(e.Meta.Status); ok {
			return r
		}
		return ruleUnreadable
	}
	if errors.Is(err, context.Canceled) { // by the caller: it says nothing about the API
		return ruleCanceled
	}
	if _, ok := errors.AsType[*TransportError](err); ok {
		return ruleNetwork
	}
	if errors.Is(err, ErrInvalidRequest) {
		return ruleNotSent
	}
	return ruleUnknown
}

func classifyAPI(e *APIError) Rule {
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

const (
	codeFailedUsers = 139100
	codeListChanged = 139102
)

// table holds the known codes of the API; no other code branches on them. Sources: the reference
// of the block_users edge and Meta's pages "Error handling" and "Error codes". A range goes from
// Code to Last.
//
// Codes of the WhatsApp API that are only about sending messages are left out; such a code is
// handled as unknown.
var table = []Rule{
	// One user.
	{
		Code: 131047, Name: "re-engagement required", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The user has not written to this business number in the last 24 hours, or is not on WhatsApp. Redrive after the user has written again.",
	},
	{
		Code: 131021, Name: "own number", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true, Permanent: true,
		Help: "A business number can't block itself. Discard the entry and take the number off the list.",
	},
	{
		Code: 131009, Name: "invalid parameter value", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The API does not take this value for a user. Check the number, then redrive or discard.",
	},
	{
		Code: 131008, Name: "missing parameter", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The API misses a parameter. Check that the Graph version still serves this request, then redrive.",
	},
	{
		Code: 131062, Name: "business-scoped user ID not supported", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true, Permanent: true,
		Help: "The API does not take a business-scoped user ID here. Use the user's phone number.",
	},
	{
		Code: 100, Name: "invalid parameter", Scope: ScopeUser, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The API calls the request invalid. Check the number; when every number fails so, run wablock doctor: the phone number ID may be that of the WhatsApp Business Account, or the Graph version too old.",
	},

	// The blocklist of one business number.
	{
		Code: 139101, Name: "blocklist limit reached", Scope: ScopePhoneNumber, Remedy: ListFull, UsesAttempt: true,
		Help: "The blocklist holds 64,000 users and takes no more. Unblock some, then redrive.",
	},
	{
		Code: 139103, Name: "internal error", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API failed inside and asks to try again. Redrive later.",
	},
	{
		Code: codeFailedUsers, Name: "failed to block or unblock some users", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API says that users failed; its lists say which. Without lists the state of each user is unknown and the call is repeated.",
	},
	{
		Code: codeListChanged, Name: "blocklist concurrent update", Scope: ScopeListing, Remedy: RestartListing,
		Help: "The blocklist changed while it was listed. List again from the start.",
	},

	// The phone number ID itself.
	{
		Code: 33, Name: "object does not exist", Scope: ScopePhoneNumber, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The phone number ID was deleted or is wrong. Correct WABLOCK_PHONE_NUMBER_ID or phone_numbers, then redrive.",
	},
	{
		Code: 100, Subcode: 33, Name: "object does not exist or is not visible", Scope: ScopePhoneNumber, Remedy: Halt,
		Help: "No such phone number ID, or the token may not see it. Check the ID (not the number itself, nor the WhatsApp Business Account's ID), and that the token's system user has the WhatsApp account assigned.",
	},
	{
		Code: 803, Name: "object does not exist", Scope: ScopePhoneNumber, Remedy: Halt,
		Help: "No such phone number ID. Check WABLOCK_PHONE_NUMBER_ID or phone_numbers.",
	},

	// Too fast, for one business number.
	{
		Code: 130429, Name: "rate limit hit", Scope: ScopePhoneNumber, Remedy: RateLimit,
		Help: "Too many calls, or too many users in one. wablock slows down by itself.",
	},
	{
		Code: 613, Name: "custom rate limit", Scope: ScopePhoneNumber, Remedy: RateLimit,
		Help: "Too many calls of this kind. wablock slows down by itself.",
	},
	{
		Code: 429, Name: "too many requests", Scope: ScopePhoneNumber, Remedy: RateLimit,
		Help: "Too many calls. wablock slows down by itself.",
	},

	// Too fast, for the account that several business numbers share.
	{
		Code: 4, Name: "app call limit", Scope: ScopeAccount, Remedy: AccountRateLimit,
		Help: "The app made too many calls, perhaps by other services of yours. wablock slows down by itself.",
	},
	{
		Code: 17, Name: "user call limit", Scope: ScopeAccount, Remedy: AccountRateLimit,
		Help: "The token's user made too many calls. wablock slows down by itself.",
	},
	{
		Code: 341, Name: "application limit", Scope: ScopeAccount, Remedy: AccountRateLimit,
		Help: "The app reached a limit for a while. wablock slows down by itself.",
	},
	{
		Code: 80007, Name: "business account rate limit", Scope: ScopeAccount, Remedy: AccountRateLimit,
		Help: "The WhatsApp Business account made too many calls. wablock slows down by itself.",
	},
	{
		Code: 80008, Name: "business account call limit", Scope: ScopeAccount, Remedy: AccountRateLimit,
		Help: "The WhatsApp Business account made too many calls. wablock slows down by itself.",
	},

	// The API fails.
	{
		Code: 1, Name: "unknown API error", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API may be down. See metastatus.com; redrive later.",
	},
	{
		Code: 2, Name: "service unavailable", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API is down or overloaded. See metastatus.com; redrive later.",
	},
	{
		Code: 131000, Name: "something went wrong", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API failed for an unknown reason. Redrive later; if it stays, give Meta's support the fbtrace_id.",
	},
	{
		Code: 131016, Name: "service unavailable", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "A service behind the API is down. See metastatus.com; redrive later.",
	},
	{
		Code: 131057, Name: "account in maintenance", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The business account is in maintenance mode. Redrive later.",
	},
	{
		Code: 133004, Name: "server temporarily unavailable", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API is down. See metastatus.com; redrive later.",
	},

	// All calls are refused until a person has acted.
	{Code: 0, Name: "authentication failed", Scope: ScopeAccount, Remedy: Halt, Help: helpToken},
	{Code: 102, Name: "session invalid", Scope: ScopeAccount, Remedy: Halt, Help: helpToken},
	{Code: 104, Name: "access token missing", Scope: ScopeAccount, Remedy: Halt, Help: helpToken},
	{Code: 190, Name: "access token expired or invalid", Scope: ScopeAccount, Remedy: Halt, Help: helpToken},
	{Code: 3, Name: "capability missing", Scope: ScopeAccount, Remedy: Halt, Help: helpPermission},
	{Code: 10, Name: "permission denied", Scope: ScopeAccount, Remedy: Halt, Help: helpPermission},
	{Code: 200, Last: 299, Name: "permission missing", Scope: ScopeAccount, Remedy: Halt, Help: helpPermission},
	{Code: 131005, Name: "access denied", Scope: ScopeAccount, Remedy: Halt, Help: helpPermission},
	{
		Code: 368, Name: "blocked for policy violations", Scope: ScopeAccount, Remedy: Halt,
		Help: "Meta restricts the account for breaking a policy. See WhatsApp Manager, then appeal or wait; work is kept.",
	},
	{
		Code: 131031, Name: "account locked", Scope: ScopeAccount, Remedy: Halt,
		Help: "Meta locked the account. See WhatsApp Manager; work is kept.",
	},
	{
		Code: 131045, Name: "phone number not registered", Scope: ScopeAccount, Remedy: Halt,
		Help: "The business number's registration has a fault. Register it again in WhatsApp Manager; work is kept.",
	},
}

const (
	helpToken = "Renew the access token (a system user's does not expire) and put it into WABLOCK_ACCESS_TOKEN_FILE: the file is read again by itself. Work is kept."

	helpPermission = "Give the token's system user the WhatsApp account, and the permissions whatsapp_business_management and whatsapp_business_messaging. Work is kept."
)

// Rules of answers without a code in the table.
var (
	ruleUnknown = Rule{
		Code: NoCode, Name: "unknown error", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "wablock does not know this code. Look it up in Meta's error codes; redrive when its cause is gone.",
	}
	ruleTransient = Rule{
		Code: NoCode, Name: "transient error", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API says that the error passes. Redrive later.",
	}
	ruleServer = Rule{
		Code: NoCode, Name: "server error", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API answered with a 5xx status. See metastatus.com; redrive later.",
	}
	ruleUnreadable = Rule{
		Code: NoCode, Name: "unreadable answer", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "Something other than the API answered, or it was cut short. Check WABLOCK_GRAPH_URL and proxies on the way; redrive later.",
	}
	ruleNetwork = Rule{
		Code: NoCode, Name: "no answer", Scope: ScopeCall, Remedy: Retry, UsesAttempt: true,
		Help: "The API could not be reached or did not answer in time. Check network, DNS, proxy and WABLOCK_REQUEST_TIMEOUT; redrive later.",
	}
	ruleCanceled = Rule{
		Code: NoCode, Name: "canceled", Scope: ScopeCall, Remedy: Retry,
		Help: "The call was canceled before it was answered, as at a shutdown. It is repeated.",
	}
	ruleTooMany = Rule{
		Code: NoCode, Name: "too many requests", Scope: ScopePhoneNumber, Remedy: RateLimit,
		Help: "Status 429: too many calls. wablock slows down by itself.",
	}
	ruleRefused = Rule{
		Code: NoCode, Name: "access refused", Scope: ScopeAccount, Remedy: Halt,
		Help: "Status 401 or 403 without a code: the API refused the access token, or a proxy answered. Check WABLOCK_GRAPH_URL and proxies on the way. " + helpToken,
	}
	ruleNotSent = Rule{
		Code: NoCode, Name: "invalid request", Scope: ScopeCall, Remedy: DeadLetter, UsesAttempt: true,
		Help: "The request can't be sent as it is: check the phone number ID, then redrive.",
	}
)

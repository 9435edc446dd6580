package verdict

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
)

var (
	// ErrLate is a call that was not made since its claim was about to end: Redis, or this
	// process, was stopped for a while. Its users are tried again.
	ErrLate = errors.New("worker: it is too late for the call: its claim ends")
	// ErrNotChecked is the result of a list call that could not be made.
	ErrNotChecked = errors.New("worker: the call failed, and it could not be checked whether for one of its users")
	// ErrNoResult is an API that answers nothing at all, which the client never does.
	ErrNoResult = errors.New("worker: the client gave neither a result nor an error")
	// errUnnamed is an answer without an error that names no user.
	errUnnamed = errors.New("the API's answer named no user")

	// ruleUnnamed is for a user in neither list of an answer: its fate is unknown, so it is never
	// taken for a success.
	ruleUnnamed = client.Rule{
		Code: client.NoCode, Name: "the API's answer did not name the user",
		Scope: client.ScopeUser, Remedy: client.Retry, UsesAttempt: true,
	}
	ruleNotChecked = client.Rule{Code: client.NoCode, Name: "not checked yet", Remedy: client.Retry}
	ruleLate       = client.Rule{Code: client.NoCode, Name: "too late to be sent", Remedy: client.Retry}
)

// refusedError is an error that holds for every call of the phone number ID, although its code is
// one of those that are about users: the ID, the app secret or the version is wrong.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "every call is refused: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// ruleOf is the client's rule, but for errors of which the worker knows more. listed reports that an
// operator configured the phone number ID.
func ruleOf(err error, listed bool) client.Rule {
	switch {
	case errors.Is(err, ErrNotChecked):
		return ruleNotChecked
	case errors.Is(err, ErrLate):
		return ruleLate
	case errors.Is(err, errUnnamed):
		return ruleUnnamed
	}
	rule := client.Classify(err)
	if rule.Remedy == client.RestartListing { // of a listing; of any other call it means nothing special
		rule.Remedy, rule.UsesAttempt = client.Retry, true
	}
	if listed {
		return rule
	}
	return unlisted(rule)
}

// unlisted dead-letters the users of a phone number ID that is unknown to the API and to the
// configuration: a producer made it up, and they would wait for ever. Those of a configured one
// wait for the configuration to be mended.
func unlisted(rule client.Rule) client.Rule {
	if rule.Remedy == client.Halt && rule.Scope == client.ScopePhoneNumber {
		rule.Remedy, rule.UsesAttempt = client.DeadLetter, true
	}
	return rule
}

func isLimit(rule client.Rule) bool {
	return rule.Remedy == client.RateLimit || rule.Remedy == client.AccountRateLimit
}

// toldOfAll returns the error of an answer that does for no user what was asked for, and refuses most of those it names
// with a limit, or with a code that stops all calls: it tells the same as a call that failed as a whole so. It returns nil
// for any other answer. Codes to be retried (139103, 131000) stay the named users' own, who end after their attempts:
// an API that tells them one by one works, and the last users of a job may have nothing else to be compared with.
func toldOfAll(res *client.Result) *client.APIError {
	var retried, halted, limited int
	var halt, limit *client.APIError // the last of each
	for _, o := range res.Outcomes {
		switch o.State {
		case client.Unknown:
			continue
		case client.Succeeded:
			return nil
		case client.Failed:
		}
		switch rule := client.Classify(o.Error); {
		case rule.Remedy == client.DeadLetter || rule.Remedy == client.ListFull || rule.Code == client.NoCode && !o.Error.IsTransient:
			return nil
		case rule.Remedy == client.Halt:
			halted, halt = halted+1, o.Error
		case isLimit(rule):
			limited, limit = limited+1, o.Error
		default:
			retried++
		}
	}
	switch {
	case limited > max(halted, retried):
		return limit
	case halted > retried:
		return halt
	}
	return nil
}

// limitsHalf reports whether an answer refuses at least half of the users for the rate.
func limitsHalf(res *client.Result) bool {
	if res == nil {
		return false
	}
	limited := 0
	for _, o := range res.Outcomes {
		if o.State == client.Failed && isLimit(client.Classify(o.Error)) {
			limited++
		}
	}
	return limited > 0 && 2*limited >= len(res.Outcomes)
}

func timedOut(err error) bool {
	e, ok := errors.AsType[*client.TransportError](err)
	return ok && e.Timeout() && !errors.Is(err, context.Canceled)
}

// onlyRetries reports whether all users were tried before.
func onlyRetries(users []ledger.Claimed) bool {
	return !slices.ContainsFunc(users, func(u ledger.Claimed) bool { return u.Attempts == 0 })
}

// failureOf returns the part of an error that the ledger and the dead-letter queue keep.
func failureOf(err error, rule client.Rule, now time.Time) *ledger.Failure {
	f := &ledger.Failure{At: now.UnixMilli(), Message: rule.Name}
	if isLimit(rule) {
		f.Limited = f.At
	}
	if e, ok := errors.AsType[*client.APIError](err); ok {
		f.Code, f.Details, f.FBTraceID = max(e.Code, 0), e.Details, e.FBTraceID
		if e.Message != "" {
			f.Message = e.Message
		}
	} else if err != nil {
		f.Details = strings.TrimPrefix(err.Error(), client.ErrInvalidRequest.Error()) // as the message says
		f.Details = strings.TrimPrefix(f.Details, ": ")
	}
	return f
}

package worker

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/client"
)

// answeredFor is how long an answer that named users, or a check, shows that calls are sound as
// such.
const answeredFor = time.Minute

// errNotChecked is the error of a call whose users may not be to blame, while nobody could find
// out: they are tried again.
var errNotChecked = errors.New("worker: the call failed, and it could not be checked whether for one of its users")

// refusedError is an error that speaks of every call for the phone number ID alike, although its
// code is one of those that speak of users: the ID, the app secret or the version is wrong.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "every call is refused: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// blame returns the error that a failed call is to be judged by. What looks like the fault of a
// user may be that of every call; unless another one has just been answered, the cheapest call
// there is tells them apart. Else a wrong setting would dead-letter all users one by one.
func (c *call) blame(ctx context.Context, res *client.Result, err error) error {
	if res != nil && namesAnyone(res) {
		c.answered.Store(time.Now().UnixNano())
		return err
	}
	if err == nil || !c.rule(err).SplitCall || time.Since(time.Unix(0, c.answered.Load())) < answeredFor {
		return err
	}
	switch e := c.check(ctx); {
	case e == nil:
		c.answered.Store(time.Now().UnixNano())
		return err
	case c.rule(e).Remedy == client.DeadLetter:
		return &refusedError{e}
	case c.rule(e).Remedy == client.Halt:
		return e
	default:
		return errNotChecked
	}
}

// check makes the cheapest call that needs the same access.
func (c *call) check(ctx context.Context) error {
	grant, ok := c.token(ctx) // the users at fault are among those left, and stay claimed
	if !ok {
		return errNotChecked
	}
	ctx, cancel := context.WithTimeout(ctx, c.w.cfg.RequestTimeout)
	defer cancel()
	err := c.number.API.Check(ctx, c.number.ID)
	c.tellLimiter(ctx, grant, nil, nil, err)
	return err
}

// rule is the client's, but for errors of which the worker knows more. Where every call for a
// phone number ID is refused, its users wait for the configuration to be mended; those of an ID
// that nobody has configured are dead-lettered: a producer made it up, and they would wait for
// ever.
func (l *lane) rule(err error) client.Rule {
	switch {
	case errors.Is(err, errNotChecked):
		return client.Rule{Code: client.NoCode, Name: "not checked yet", Remedy: client.Retry}
	case errors.Is(err, errLate):
		return client.Rule{Code: client.NoCode, Name: "too late to be sent", Remedy: client.Retry}
	}
	r := client.Classify(err)
	_, refused := errors.AsType[*refusedError](err)
	if !refused && (r.Remedy != client.Halt || r.Scope != client.ScopePhoneNumber) {
		return r
	}
	r.Scope, r.SplitCall = client.ScopePhoneNumber, false
	r.Remedy, r.UsesAttempt = client.Halt, false
	if !l.number.Listed {
		r.Remedy, r.UsesAttempt = client.DeadLetter, true
	}
	return r
}

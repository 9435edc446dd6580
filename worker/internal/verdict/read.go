package verdict

import (
	"errors"
	"slices"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

const (
	// maxRetryDelay bounds the time between two attempts of a user.
	maxRetryDelay = 5 * time.Minute
	// maxUncounted bounds the same after a failure that uses up no attempt.
	maxUncounted = time.Minute
	// provenAttempts is the number of used-up attempts that prove that a user's failures are its own: each of
	// them was made while other users' calls were served.
	provenAttempts = 3
	// fewTold and fewFinal bound the users that may fail one after another, with none served in between, and be at fault
	// themselves: named as failed, attempt by attempt, or refused for good.
	fewTold, fewFinal = 8, 3
	// maxStruck bounds the calls in a row that may be limited before the pace is blamed in any case.
	maxStruck = 3
)

// reading is an answer on its way to a verdict.
type reading struct {
	Policy
	op    ledger.Operation
	users []ledger.Claimed
	res   *client.Result // nil when it names no user
	err   error
	told  []client.Outcome // where err was told user by user: as a whole call's, for all of them
	meta  client.Meta
	rule  client.Rule // of err
}

// Read decides what an answer means. res, if any, holds an outcome per user, in order; err is
// about the call as a whole, and so about users whose outcome is unknown.
func Read(op ledger.Operation, users []ledger.Claimed, res *client.Result, err error, p Policy) Verdict {
	if res == nil && err == nil {
		err = ErrNoResult
	}
	r := reading{Policy: p, op: op, users: users}
	meta := client.MetaOf(err)
	if res != nil {
		res = believable(res)
		meta = res.Meta
		if !slices.ContainsFunc(res.Outcomes, func(o client.Outcome) bool { return o.State != client.Unknown }) {
			if res = nil; err == nil {
				err = errUnnamed
			}
		} else if e := toldOfAll(res); e != nil {
			r.told, res, err = res.Outcomes, nil, e
		}
	}
	r.res, r.err, r.meta, r.rule = res, err, meta, r.ruleOf(err)
	var v Verdict
	if res != nil {
		v = r.named()
	} else {
		v = r.whole()
	}
	r.finish(&v)
	return v
}

// ReadCheck decides what a list call shows: a probe of the breaker, or a check. Its verdict has no
// settlements.
func ReadCheck(err error, listed bool) Verdict {
	r := reading{err: err, meta: client.MetaOf(err), Policy: Policy{Listed: listed}}
	r.rule = ruleOf(err, r.Listed)
	v := Verdict{Sign: SignServed}
	switch {
	case err == nil:
	case r.rule.Remedy == client.DeadLetter && r.rule.Scope == client.ScopePhoneNumber: // calls go, and users end, as by Read
	case r.rule.Remedy == client.Halt || r.rule.Remedy == client.DeadLetter:
		v.Sign = SignHalted
	case isLimit(r.rule) || !r.rule.UsesAttempt:
		v.Sign = SignNone
	default:
		v.Sign = SignFailed
	}
	r.finish(&v)
	return v
}

// ruleOf is the rule of an error of this call. An unblock needs no room: that it is refused for a full
// list is about its user.
func (r *reading) ruleOf(err error) client.Rule {
	rule := ruleOf(err, r.Listed)
	if rule.Remedy == client.ListFull && r.op == ledger.Unblock {
		rule.Remedy = client.DeadLetter
	}
	return rule
}

// finish fills in what metrics, logs and the limiter are told.
func (r *reading) finish(v *Verdict) {
	v.Outcome, v.Err, v.Cause = "answered", r.err, Outage
	if r.told != nil {
		v.NamesAllFailed, v.MaxAtFault = true, fewTold
	}
	if r.rule.Remedy == client.Halt {
		v.Cause = Halted
	}
	v.ListCallFailed = r.Check.Done && r.Check.Err != nil && !errors.Is(r.Check.Err, ErrNotChecked)
	limited := limitsHalf(r.res)
	scope := client.ScopePhoneNumber
	if r.err != nil {
		v.Outcome, v.Reason, v.Help = r.rule.Name, r.rule.Name, r.rule.Help
		if e, ok := errors.AsType[*client.APIError](r.err); ok && e.Code != client.NoCode {
			v.Code = e.Code
		}
		if isLimit(r.rule) {
			limited, scope = r.res != nil || r.limitedBy() == thePace, r.rule.Scope
		}
	}
	answered := v.Sign == SignServed || (v.NeedsCheck || v.MaxAtFault > 0) && r.rule.Remedy == client.DeadLetter
	v.Observation = ratelimit.Observation{
		Users: len(r.users), Limited: limited, Account: limited && scope == client.ScopeAccount,
		RetryAfter:   max(r.meta.RetryAfter, r.meta.Usage.RegainAccess),
		UsagePercent: r.meta.Usage.Percent(),
		Retry:        len(r.users) > 0 && onlyRetries(r.users),
		Served:       answered && !limited,
		TimedOut:     timedOut(r.err),
	}
}

// named settles a call whose answer says of users what became of them.
func (r *reading) named() Verdict {
	v := Verdict{Sign: SignServed, Settlements: make([]ledger.Settlement, 0, len(r.users))}
	rest, restFailure := ruleUnnamed, failureOf(nil, ruleUnnamed, r.Now)
	if r.err != nil && (isLimit(r.rule) || r.rule.Remedy == client.Halt) {
		rest, restFailure = r.rule, failureOf(r.err, r.rule, r.Now)
	}
	counted := !isLimit(rest) && rest.Remedy != client.Halt
	for i, u := range r.users {
		o := r.res.Outcomes[i]
		switch o.State {
		case client.Succeeded:
			v.Succeeded++
			v.Settlements = append(v.Settlements, ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: o.WaID})
			continue
		case client.Failed:
			rule := r.ruleOf(o.Error)
			if rule.Remedy == client.Halt && len(r.users) > 1 && r.lastAttempt(u) {
				v.CallAgain = append(v.CallAgain, u) // whether every call is refused so shows alone, beside a list call
				continue
			}
			s := r.settle(u, rule, failureOf(o.Error, rule, r.Now), true)
			s.WaID = o.WaID
			v.Settlements = append(v.Settlements, s)
			if rule.Remedy == client.ListFull {
				v.Full, v.Code = true, o.Error.Code
			}
			if isLimit(rule) {
				v.Struck = append(v.Struck, u.User)
			}
		case client.Unknown:
			if counted && len(r.users) > 1 && r.lastAttempt(u) {
				v.CallAgain = append(v.CallAgain, u)
				continue
			}
			v.Settlements = append(v.Settlements, r.settle(u, rest, restFailure, counted))
		}
	}
	return v
}

// whole settles a call that failed as a whole.
func (r *reading) whole() Verdict {
	switch rule := r.rule; {
	case r.Check.Done && r.checkRefused():
		return r.haltAll()
	case isLimit(rule):
		return r.limited()
	case rule.Remedy == client.ListFull:
		return r.full()
	case errors.Is(r.err, client.ErrInvalidRequest):
		return r.alike(SignServed, true) // never sent, so that no check can tell more
	case rule.Remedy == client.Retry && !rule.UsesAttempt: // canceled, late, not checked
		return r.alike(SignNone, false)
	case rule.Remedy == client.DeadLetter || rule.Remedy == client.Halt:
		return r.blamed()
	default:
		return r.failed()
	}
}

// blame is the cause of a limit.
type blame int

const (
	thePace  blame = iota // the limiter slows down
	suspects              // some of the users, which were limited before: they are called apart
	oneUser               // the one user of the call
)

// limitedBy returns what is to blame for a limit of the whole call: users only if other calls were served since they
// were limited before.
func (r *reading) limitedBy() blame {
	one := len(r.users) == 1
	switch {
	case !one && r.struck():
		return suspects
	case one && (r.Evidence.OnlyThisUserLimited || r.Evidence.strikes(r.users[0].User) > 0):
		return oneUser
	}
	return thePace
}

// limited puts the users back in line, behind those that wait. It uses up an attempt of a single user
// alone that was limited often while others were served.
func (r *reading) limited() Verdict {
	v := Verdict{Sign: SignNone, LimitedWhole: true, Struck: make([]user.ID, len(r.users))}
	for i, u := range r.users {
		v.Struck[i] = u.User
	}
	one, by := len(r.users) == 1, r.limitedBy()
	switch {
	case by == suspects:
		v.Split = Halves
		return v
	case by == oneUser && r.alwaysLimited(r.users[0]):
		r.add(&v, 0, true)
		return v
	}
	var behind time.Duration
	if r.Others || one && (r.Evidence.known(r.users[0].User) || r.Evidence.Limited > 0) {
		behind = max(r.meta.RetryAfter, min(time.Second<<min(r.Evidence.Limited, 6), time.Minute)) + 100*time.Millisecond
	}
	r.add(&v, behind, false)
	return v
}

// alwaysLimited reports whether a user was limited often while others were served, as far as this worker knows, or once
// again after it used up an attempt so, as its record tells.
func (r *reading) alwaysLimited(u ledger.Claimed) bool {
	n := r.Evidence.strikes(u.User)
	return n >= provenAttempts || n > 0 && u.Limited > 0 && u.Attempts > 0
}

// struck reports whether a user of the call was limited before, with calls served since, and the pace
// is not in doubt.
func (r *reading) struck() bool {
	return r.Evidence.Limited < maxStruck && slices.ContainsFunc(r.users, func(u ledger.Claimed) bool { return r.Evidence.strikes(u.User) > 0 })
}

// full finds out with halves how much room there is, until one user alone is refused: when the list is found full, and where
// places were seen that are fewer than it looked, as after unblocks of users who were not on the list.
func (r *reading) full() Verdict {
	if len(r.users) > 1 && (r.Places || !r.Evidence.WasFull) {
		return Verdict{Split: FirstHalf, Sign: SignServed}
	}
	v := r.alike(SignServed, true)
	v.Full = true
	return v
}

// blamed is for an error that is final for a user, or stops every call: a list call tells which.
func (r *reading) blamed() Verdict {
	if !r.Check.Done {
		return Verdict{NeedsCheck: true}
	}
	switch {
	case r.Check.Err == nil && r.rule.Remedy != client.DeadLetter:
		return r.failed()
	case r.Check.Err == nil:
		return r.final()
	case r.rule.Remedy == client.Halt:
		return r.alike(SignHalted, false) // probes will tell
	case errors.Is(r.Check.Err, ErrNotChecked):
		r.err, r.rule = ErrNotChecked, ruleNotChecked
		return r.alike(SignNone, false)
	default: // the list call failed as well, in another way: that is a sign of an outage
		r.rule.Remedy, r.rule.UsesAttempt = client.Retry, false
		return r.alike(SignFailed, false)
	}
}

// final is for an error that is final for a user, while the list call is served, which does not show that calls with users
// are. The users are called apart, and one alone dies if others of the claim, or just before, were served, or any since it was
// refused before, or if few were refused since.
func (r *reading) final() Verdict {
	one := len(r.users) == 1
	var v Verdict
	switch {
	case !one:
		v = Verdict{Split: Halves, Sign: SignFailed}
	case r.PartServed:
		v = r.alike(SignNone, true) // that calls are served is known
	case r.Evidence.Served || r.Evidence.strikes(r.users[0].User) > 0 || r.Evidence.few(fewFinal) && (r.Evidence.AtFaultBefore || !r.Parts):
		v = r.alike(SignFailed, true)
	case r.Parts && !r.Evidence.AtFaultBefore:
		v = Verdict{CallAgain: r.users, Sign: SignFailed, Struck: []user.ID{r.users[0].User}}
	default:
		v = r.alike(SignFailed, false)
		v.Struck = []user.ID{r.users[0].User}
		if r.users[0].Attempts == 0 { // so that trials are of others first
			v.Settlements[0].Do = ledger.Retry
		}
	}
	v.MaxAtFault = fewFinal
	return v
}

// checkRefused reports whether the list call was refused as well, for good.
func (r *reading) checkRefused() bool {
	remedy := ruleOf(r.Check.Err, r.Listed).Remedy
	return r.Check.Err != nil && (remedy == client.Halt || remedy == client.DeadLetter)
}

// haltAll is for a call that failed as every other does: the token, the phone number ID, the app
// secret or the version is wrong, whatever the code.
func (r *reading) haltAll() Verdict {
	rule := ruleOf(r.Check.Err, r.Listed)
	if rule.Scope == client.ScopeUser {
		rule.Scope, rule.Remedy, rule.UsesAttempt = client.ScopePhoneNumber, client.Halt, false
	}
	if !r.Listed {
		rule = unlisted(rule)
	}
	r.err, r.rule = &refusedError{r.Check.Err}, rule
	if r.rule.Remedy == client.DeadLetter {
		return r.alike(SignServed, true)
	}
	return r.alike(SignHalted, false)
}

// failed is for an error that may pass, and may be the API's or the users' fault. It uses up an
// attempt only where other calls are known to be served, and the last one only of a user alone.
func (r *reading) failed() Verdict {
	one, halted := len(r.users) == 1, r.rule.Remedy == client.Halt
	proven := !r.Evidence.Served && r.proven()
	counted := r.Evidence.Served || proven
	if !one && (halted || counted && slices.ContainsFunc(r.users, r.lastAttempt)) {
		return Verdict{Split: Halves, Sign: SignFailed}
	}
	if proven || one && r.lastAttempt(r.users[0]) {
		if !r.Check.Done {
			return Verdict{NeedsCheck: true}
		}
		counted = counted && r.passed()
	}
	return r.alike(SignFailed, counted)
}

// proven reports whether the failure is the users' own, although no call was served just before: the API names them and
// has refused few since it served a call, or it is one user that no other has failed beside, or that failed often
// beside calls that were served.
func (r *reading) proven() bool {
	return r.told != nil && r.Evidence.few(fewTold) || len(r.users) == 1 && (r.Evidence.Alone && r.Evidence.EverServed ||
		r.users[0].Attempts >= min(provenAttempts, max(1, r.MaxAttempts-1)))
}

func (r *reading) lastAttempt(u ledger.Claimed) bool { return u.Attempts+1 >= r.MaxAttempts }

// alike gives all users the verdict of the whole call's error.
func (r *reading) alike(e Sign, counted bool) Verdict {
	v := Verdict{Sign: e}
	r.add(&v, 0, counted)
	return v
}

// add settles all users alike; behind, if above 0, is for those that wait.
func (r *reading) add(v *Verdict, behind time.Duration, counted bool) {
	failure := r.failure(r.err)
	var last *client.APIError // that failure was made of
	for i, u := range r.users {
		waID := ""
		if r.told != nil {
			waID = r.told[i].WaID
			if e := r.told[i].Error; e != nil && e != last {
				failure, last = r.failure(e), e
			}
		}
		s := r.settle(u, r.rule, failure, counted)
		s.WaID = waID
		if behind > 0 && s.Do == ledger.Wait {
			s.Delay = behind
		}
		v.Settlements = append(v.Settlements, s)
	}
}

// failure is failureOf for the call as a whole. From now on users of a call that timed out, and one that is known to be
// limited whenever it is called, go apart from others.
func (r *reading) failure(err error) *ledger.Failure {
	f := failureOf(err, r.rule, r.Now)
	if isLimit(r.rule) {
		f.Paused = r.meta.RetryAfter.Milliseconds()
	}
	if timedOut(r.err) || isLimit(r.rule) && len(r.users) == 1 && r.Evidence.strikes(r.users[0].User) > 0 {
		f.Company = len(r.users)
	}
	return f
}

// settle applies a rule to one user.
func (r *reading) settle(u ledger.Claimed, rule client.Rule, failure *ledger.Failure, counted bool) ledger.Settlement {
	s := ledger.Settlement{User: u.User, Version: u.Version, Failure: failure, Do: ledger.Wait}
	switch {
	case rule.Remedy == client.ListFull && r.Evidence.WasFull:
		s.Delay = min(2*r.Evidence.FullDelay, maxRetryDelay) // behind the others that wait for room
	case counted && (rule.Remedy == client.DeadLetter || rule.Remedy == client.ListFull):
		s.Do = ledger.Kill
	case isLimit(rule) && r.res != nil && (!counted || r.Evidence.strikes(u.User) < provenAttempts):
		s.Delay = r.backoff(r.Evidence.strikes(u.User))
	case !counted && (isLimit(rule) || rule.Remedy == client.Halt && !r.passed()):
		// The limiter, or the breaker, decides when.
	case !counted:
		s.Delay = r.uncountedDelay(u)
	case r.lastAttempt(u):
		s.Do = ledger.Kill
	default:
		s.Do, s.Delay = ledger.Retry, r.backoff(u.Attempts)
	}
	return s
}

// passed reports whether the list call was served, so that the error is not every call's.
func (r *reading) passed() bool { return r.Check.Done && r.Check.Err == nil }

// uncountedDelay puts a single user whose calls fail behind the others, so that the next trial is
// another user's.
func (r *reading) uncountedDelay(u ledger.Claimed) time.Duration {
	n := u.Attempts
	if len(r.users) == 1 {
		n = max(n, r.Evidence.Failures+1)
	}
	return min(r.backoff(n), maxUncounted)
}

// backoff doubles from RetryDelay on, with jitter in its upper half: the users of one failed call
// come back spread, and in other company.
func (r *reading) backoff(attempts int) time.Duration {
	d := min(r.RetryDelay<<min(attempts, 20), maxRetryDelay)
	return d/2 + time.Duration(r.Jitter()*float64(d/2))
}

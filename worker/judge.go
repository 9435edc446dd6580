package worker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
)

// policy is what judge needs to know beside the answer.
type policy struct {
	maxAttempts int
	retryDelay  time.Duration
	// uncounted: the API as a whole is down, and no attempt is used up by that.
	uncounted bool
	rule      func(error) client.Rule
	now       time.Time
	jitter    func() float64 // in [0, 1)
}

func (l *lane) policy(uncounted bool) policy {
	return policy{
		maxAttempts: l.w.cfg.MaxAttempts, retryDelay: l.w.cfg.RetryDelay, uncounted: uncounted,
		rule: l.rule, now: time.Now(), jitter: rand.Float64,
	}
}

// judgement is what is to become of a call's users.
type judgement struct {
	// settlements is one per user, in order; nil when split is set.
	settlements []ledger.Settlement
	// split: the whole call failed, perhaps for some of its users alone: call again in halves.
	split bool
	// full: the API said that the blocklist is full.
	full bool
	// succeeded counts the users that the API did what was asked for.
	succeeded int
}

// judge is the one place that decides what becomes of each user of a call. res, if any, holds
// an outcome for each user, in order; err speaks of the call as a whole, and so of those whose
// outcome is unknown.
func judge(users []ledger.Claimed, res *client.Result, err error, p policy) judgement {
	if res == nil || err != nil && !namesAnyone(res) {
		return judgeWhole(users, err, p)
	}
	rest, restFailure := ruleUnnamed, failureOf(nil, ruleUnnamed, p.now)
	if err != nil {
		if r := p.rule(err); r.Remedy == client.RateLimit || r.Remedy == client.AccountRateLimit || r.Remedy == client.Halt {
			rest, restFailure = r, failureOf(err, r, p.now)
		}
	}
	j := judgement{settlements: make([]ledger.Settlement, 0, len(users))}
	for i, u := range users {
		switch o := res.Outcomes[i]; o.State {
		case client.Succeeded:
			j.succeeded++
			j.settlements = append(j.settlements,
				ledger.Settlement{User: u.User, Version: u.Version, Verdict: ledger.Succeed, WaID: o.WaID})
		case client.Failed:
			rule := p.rule(o.Error)
			s := p.verdict(u, rule, failureOf(o.Error, rule, p.now))
			s.WaID = o.WaID
			j.add(s, rule)
		case client.Unknown:
			j.add(p.verdict(u, rest, restFailure), rest)
		}
	}
	return j
}

// namesAnyone reports whether an answer says of any user what became of it.
func namesAnyone(res *client.Result) bool {
	return slices.ContainsFunc(res.Outcomes, func(o client.Outcome) bool { return o.State != client.Unknown })
}

// limitsAnyone reports whether an answer says of single users that they came too fast.
func limitsAnyone(res *client.Result) bool {
	return slices.ContainsFunc(res.Outcomes, func(o client.Outcome) bool {
		if o.State != client.Failed {
			return false
		}
		remedy := client.Classify(o.Error).Remedy
		return remedy == client.RateLimit || remedy == client.AccountRateLimit
	})
}

// judgeWhole is for a call that failed as a whole.
func judgeWhole(users []ledger.Claimed, err error, p policy) judgement {
	rule := p.rule(err)
	if len(users) > 1 && (rule.SplitCall || p.exhausts(users, rule)) {
		return judgement{split: true}
	}
	return judgeAlike(users, err, p)
}

// judgeAlike gives all users the verdict of one error.
func judgeAlike(users []ledger.Claimed, err error, p policy) judgement {
	var j judgement
	rule := p.rule(err)
	failure := failureOf(err, rule, p.now)
	for _, u := range users {
		j.add(p.verdict(u, rule, failure), rule)
	}
	return j
}

// ruleUnnamed is for a user that stands in neither list of an answer: nobody knows its fate,
// so it is never taken for a success.
var ruleUnnamed = client.Rule{
	Code: client.NoCode, Name: "the API's answer did not name the user",
	Scope: client.ScopeUser, Remedy: client.Retry, UsesAttempt: true,
}

func (j *judgement) add(s ledger.Settlement, rule client.Rule) {
	j.settlements = append(j.settlements, s)
	j.full = j.full || rule.Remedy == client.ListFull
}

// verdict applies a rule to one user.
func (p policy) verdict(u ledger.Claimed, rule client.Rule, failure *ledger.Failure) ledger.Settlement {
	s := ledger.Settlement{User: u.User, Version: u.Version, Failure: failure}
	switch rule.Remedy {
	case client.DeadLetter, client.ListFull:
		s.Verdict = ledger.Kill
	case client.RateLimit, client.AccountRateLimit, client.Halt:
		s.Verdict = ledger.Wait // the limiter, or the gate, says when
	default: // retry; whatever else a table may come to hold is safest tried again
		switch {
		case p.uncounted || !rule.UsesAttempt:
			s.Verdict, s.Delay = ledger.Wait, p.backoff(u.Attempts)
		case u.Attempts+1 >= p.maxAttempts:
			s.Verdict = ledger.Kill
		default:
			s.Verdict, s.Delay = ledger.Retry, p.backoff(u.Attempts)
		}
	}
	return s
}

// exhausts reports whether a call that failed as a whole would be the last attempt of one of
// its users. Nobody dies of a call that others may have sunk: it is made again in halves.
func (p policy) exhausts(users []ledger.Claimed, rule client.Rule) bool {
	if rule.Remedy != client.Retry || !rule.UsesAttempt || p.uncounted {
		return false
	}
	for _, u := range users {
		if u.Attempts+1 >= p.maxAttempts {
			return true
		}
	}
	return false
}

// backoff doubles from retryDelay on, with jitter in its upper half: the users of one failed
// call come back spread, and in other company.
func (p policy) backoff(attempts int) time.Duration {
	d := min(p.retryDelay<<min(attempts, 20), maxRetryDelay)
	return d/2 + time.Duration(p.jitter()*float64(d/2))
}

// failureOf is what the ledger and the dead-letter queue keep of an error.
func failureOf(err error, rule client.Rule, now time.Time) *ledger.Failure {
	f := &ledger.Failure{At: now.UnixMilli(), Message: rule.Name}
	if e, ok := asAPIError(err); ok {
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

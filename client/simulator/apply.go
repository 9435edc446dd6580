package simulator

import "time"

// verdict is what a call does for one user.
type verdict struct {
	outcome Outcome
	code    int // of a failure
}

var (
	succeeded = verdict{outcome: OutcomeSucceeded}
	omitted   = verdict{outcome: OutcomeOmitted}
)

func failed(code int) verdict { return verdict{OutcomeFailed, code} }

// carryOut makes the change, or reads the list, and writes the answer.
func (x *exchange) carryOut() answer {
	if x.req.op == List {
		return x.listing()
	}
	verdicts, fail := x.apply()
	if fail != nil {
		return x.failed(fail)
	}
	return x.verdicts(verdicts)
}

// apply gives every user a verdict and changes the list accordingly.
func (x *exchange) apply() ([]verdict, *apiError) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	now := x.s.now()
	if x.set.Blocking.FullList == perCall && x.overfills() {
		return nil, newAPIError(codeListFull, "")
	}
	flaky := x.flaky()
	changed := x.set.Listing.NoOpBumps
	verdicts := make([]verdict, len(x.req.people))
	for i := range x.req.people {
		p := &x.req.people[i]
		size := x.n.list.len()
		v := x.serve(p, flaky, now)
		changed = changed || x.n.list.len() != size
		verdicts[i] = v
		x.call.Users[i].Outcome, x.call.Users[i].Code = v.outcome, v.code
	}
	if changed {
		x.n.list.bump(now)
	}
	return verdicts, nil
}

// overfills reports whether the users to be added are more than there is room for.
func (x *exchange) overfills() bool {
	if x.req.op != Block {
		return false
	}
	added := map[string]bool{}
	for i := range x.req.people {
		if p := &x.req.people[i]; !p.bad && !x.n.list.has(p.key) {
			added[p.key] = true
		}
	}
	return x.n.list.len()+len(added) > x.set.Blocking.Capacity
}

// flaky reports whether the number that fails twice fails in this call.
func (x *exchange) flaky() bool {
	for i := range x.req.people {
		if x.req.people[i].trick == trickInternalTwice {
			return x.tried(trickInternalTwice) <= 2
		}
	}
	return false
}

// serve judges one user, makes the change and lets a fault spoil it.
func (x *exchange) serve(p *person, flaky bool, now time.Time) verdict {
	f := x.userFault(p)
	switch {
	case f == nil:
	case f.Effect == EffectFailUser:
		return failed(f.Code)
	case !f.Applied:
		return omitted
	}
	v := x.judge(p, flaky, now)
	switch {
	case v != succeeded:
	case x.req.op == Block:
		x.n.list.add(now, p.key)
	default:
		x.n.list.remove(now, p.key)
	}
	if f != nil && v == succeeded {
		return omitted
	}
	return v
}

// userFault returns the first fault that hits this user, nil if none does.
func (x *exchange) userFault(p *person) *fault {
	for _, f := range x.plan.userFaults {
		if (f.users == nil || f.users[p.name]) && f.fires(x.n.rng) {
			if x.call.Fault == "" {
				x.call.Fault = f.Name
			}
			return f
		}
	}
	return nil
}

// judge says what the operation comes to for one user, and changes nothing.
func (x *exchange) judge(p *person, flaky bool, now time.Time) verdict {
	switch {
	case p.bad:
		return failed(codeReengage)
	case x.own(p):
		return failed(codeOwnNumber)
	case p.trick == trickInternal, p.trick == trickInternalTwice && flaky:
		return failed(codeInternal)
	case p.trick == trickOmit:
		return omitted
	}
	member := x.n.list.has(p.key)
	if x.req.op == Unblock {
		return x.judgeUnblock(p, member, now)
	}
	switch {
	case p.trick == trickFull:
		return failed(codeListFull)
	case (!member || x.set.Window.BlockedToo) && x.silent(p, now):
		return failed(codeReengage)
	case member && x.set.Blocking.RepeatCode != 0:
		return failed(x.set.Blocking.RepeatCode)
	case !member && x.n.list.len() >= x.set.Blocking.Capacity:
		return failed(codeListFull)
	}
	return succeeded
}

func (x *exchange) judgeUnblock(p *person, member bool, now time.Time) verdict {
	switch {
	case x.set.Window.UnblockToo && x.silent(p, now):
		return failed(codeReengage)
	case !member && x.set.Blocking.RepeatCode != 0:
		return failed(x.set.Blocking.RepeatCode)
	}
	return succeeded
}

func (x *exchange) silent(p *person, now time.Time) bool {
	return p.trick == trickSilent || !x.s.window.open(x.set, x.n, *p, now)
}

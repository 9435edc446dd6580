package simulator

import "time"

// verdict is the result of a call for one user.
type verdict struct {
	outcome Outcome
	code    int // of a failure
}

var (
	succeeded = verdict{outcome: OutcomeSucceeded}
	omitted   = verdict{outcome: OutcomeOmitted}
)

func failed(code int) verdict { return verdict{OutcomeFailed, code} }

// blockCall is a block or unblock that takes effect. Its methods require s.mu held.
type blockCall struct {
	*exchange
	now   time.Time
	flaky bool // the number that fails twice fails in this call
}

// apply gives every user a verdict and changes the list accordingly.
func (x *blockCall) apply() ([]verdict, *apiError) {
	if x.set.Blocking.FullList == perCall && x.overfills() {
		return nil, newAPIError(codeListFull, "")
	}
	x.flaky = x.isFlaky()
	changed := x.set.Listing.NoOpBumps
	verdicts := make([]verdict, len(x.req.people))
	for i := range x.req.people {
		p := &x.req.people[i]
		size := x.n.list.len()
		v := x.serve(p)
		changed = changed || x.n.list.len() != size
		verdicts[i] = v
		x.call.Users[i].Outcome, x.call.Users[i].Code = v.outcome, v.code
	}
	if changed {
		x.n.list.bump(x.now)
	}
	return verdicts, nil
}

// overfills reports whether the users to be added are more than there is room for.
func (x *blockCall) overfills() bool {
	if x.req.op != Block {
		return false
	}
	added := map[string]bool{}
	for i := range x.req.people {
		if p := &x.req.people[i]; !p.bad && !x.n.list.has(p.key) {
			added[p.key] = true
		}
	}
	return x.n.list.len()+len(added) > x.capacity()
}

// isFlaky reports whether the number that fails twice fails in this call.
func (x *blockCall) isFlaky() bool {
	for i := range x.req.people {
		if x.req.people[i].trick == trickInternalTwice {
			return x.tried(trickInternalTwice) <= 2
		}
	}
	return false
}

// serve carries the operation out for one user, and applies a fault to it.
func (x *blockCall) serve(p *person) verdict {
	f := x.userFault(p)
	switch {
	case f == nil:
	case f.Effect == EffectFailUser:
		return failed(f.code())
	case !f.Applied:
		return omitted
	}
	v := x.verdict(p)
	switch {
	case v != succeeded:
	case x.req.op == Block:
		x.n.list.add(x.now, p.key)
	default:
		x.n.list.remove(x.now, p.key)
	}
	if f != nil && v == succeeded {
		return omitted
	}
	return v
}

// userFault returns the first fault that hits this user, nil if none does.
func (x *blockCall) userFault(p *person) *fault {
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

// verdict returns the result of the operation for one user, and changes nothing.
func (x *blockCall) verdict(p *person) verdict {
	switch {
	case p.bad:
		return failed(codeReengage)
	case x.own(p):
		return failed(codeOwnNumber)
	case p.trick == trickInternal, p.trick == trickInternalTwice && x.flaky:
		return failed(codeInternal)
	case p.trick == trickOmit:
		return omitted
	}
	member := x.n.list.has(p.key)
	if p.gone && x.req.op == Block && !member {
		return failed(codeReengage)
	}
	if x.req.op == Unblock {
		return x.unblockVerdict(p, member)
	}
	switch {
	case p.trick == trickFull:
		return failed(codeListFull)
	case (!member || x.set.Window.BlockedToo) && x.silent(p):
		return failed(codeReengage)
	case member && x.set.Blocking.RepeatCode != 0:
		return failed(x.set.Blocking.RepeatCode)
	case !member && x.n.list.len() >= x.capacity():
		return failed(codeListFull)
	}
	return succeeded
}

func (x *blockCall) unblockVerdict(p *person, member bool) verdict {
	switch {
	case x.set.Window.UnblockToo && x.silent(p):
		return failed(codeReengage)
	case !member && x.set.Blocking.RepeatCode != 0:
		return failed(x.set.Blocking.RepeatCode)
	}
	return succeeded
}

func (x *blockCall) silent(p *person) bool {
	return p.trick == trickSilent || !x.s.window.open(x.set, x.n, *p, x.now)
}

// capacity returns the size of the list by now.
func (x *blockCall) capacity() int {
	b := x.set.Blocking
	if b.FreeEvery == 0 {
		return b.Capacity
	}
	return b.Capacity + int(x.now.Sub(x.set.since)/time.Duration(b.FreeEvery))
}

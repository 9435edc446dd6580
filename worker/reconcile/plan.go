package reconcile

import (
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Mode is what a run may do.
type Mode string

// The modes.
const (
	Report  Mode = "report"  // nothing
	Adopt   Mode = "adopt"   // block who is missing; take foreign blocks into the ledger
	Enforce Mode = "enforce" // block who is missing, unblock who is too much
)

// Valid reports whether m is one of the modes.
func (m Mode) Valid() bool { return m == Report || m == Adopt || m == Enforce }

// Capacity is how many users a blocklist holds.
const Capacity = 64_000

// Input is all that a plan depends on.
type Input struct {
	PhoneNumberID string
	Mode          Mode
	// Base is the version that was taken before the listing began.
	Base ledger.Version
	// Desired are the users that should be blocked. FromLedger takes in their place whomever
	// the last request in Entries wants blocked.
	Desired    []user.ID
	FromLedger bool
	// Actual is a proven listing.
	Actual []client.Entry
	// Entries are all records of the ledger, read after the listing; one may come twice.
	Entries []ledger.Entry
	// Pending are users of tasks that have not ended, with the newest version that names them:
	// the ledger may not have been told of them yet.
	Pending map[user.ID]ledger.Version
}

// Change is one user to block, unblock or adopt.
type Change struct {
	User user.ID
	// Seen is the version of the ledger's record that the decision is based on, 0 for none.
	Seen ledger.Version
	// WaID is how the list names the user; "" for who is to be blocked.
	WaID string
}

// Ambiguity is a user about whom nothing is done, and why.
type Ambiguity struct {
	// User is zero for an entry of the list that is no user the ledger could name.
	User   user.ID
	Reason Doubt
}

// Doubt is why it is not clear who somebody is.
type Doubt string

// The doubts. All but the last two keep somebody on the list.
const (
	DoubtNoWaID     Doubt = "listed by a business-scoped user ID alone: nothing says which phone number it is"
	DoubtUnreadable Doubt = "listed under a WhatsApp ID that is no phone number"
	DoubtSimilar    Doubt = "may be a desired number in another form, which only a call to it would tell"
	DoubtUserID     Doubt = "may be a desired business-scoped user ID, which is not on the list by that name"
	DoubtTwoForms   Doubt = "listed under the dialled digits, but the API knows the number under another WhatsApp ID"
	DoubtShared     Doubt = "two desired numbers are one WhatsApp ID: only one of them is looked at"
	DoubtOpposed    Doubt = "the same WhatsApp ID was asked for under two numbers, to be blocked and to be unblocked"
)

// Plan is the difference between what is desired and what is.
type Plan struct {
	PhoneNumberID string
	Mode          Mode
	Base          ledger.Version
	// Desired and Actual count users.
	Desired, Actual int
	// ToBlock, ToUnblock and ToAdopt are sorted by user. In mode Adopt ToUnblock is empty; in
	// all others ToAdopt is.
	ToBlock, ToUnblock, ToAdopt []Change
	Ambiguous                   []Ambiguity
	// LeftAlone counts differences that have work waiting, in flight, or done since the
	// listing began.
	LeftAlone int
	// LikelyToFail counts the blocks of users whom nothing shows to have written within 24
	// hours.
	LikelyToFail int
	// Hash names the unblocks of this plan: the same users, with the same records.
	Hash string
}

// After is how many users the list will hold when everything in the plan succeeds.
func (p *Plan) After() int { return p.Actual + len(p.ToBlock) - len(p.ToUnblock) }

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.ToBlock)+len(p.ToUnblock)+len(p.ToAdopt) == 0 }

// window is how long after a user's message a block can succeed.
const window = 24 * time.Hour

// Compute makes the plan. The result depends on nothing but in; it is in no order that a map
// gives.
func Compute(in Input) *Plan {
	c := &computation{in: in, plan: &Plan{PhoneNumberID: in.PhoneNumberID, Mode: in.Mode, Base: in.Base}}
	c.known = newDirectory(in)
	c.actual = newList(in.Actual)
	c.desired = c.wanted()
	c.plan.Desired, c.plan.Actual = len(c.desired), len(c.actual.entries)
	c.match()
	c.blocks()
	c.unblocks()
	c.plan.finish()
	return c.plan
}

// computation is one run of Compute.
type computation struct {
	in      Input
	plan    *Plan
	known   *directory
	actual  *list
	desired []*person
	// absent are desired users who are not on the list and whose WhatsApp ID is not known.
	absent absentees
}

// wanted returns the desired users, each once.
func (c *computation) wanted() []*person {
	var people []*person
	if c.in.FromLedger {
		for _, e := range c.known.byUser {
			if e.Operation == ledger.Block && e.State != ledger.Discarded {
				people = append(people, c.known.person(e.User))
			}
		}
	} else {
		seen := make(map[user.ID]struct{}, len(c.in.Desired))
		for _, u := range c.in.Desired {
			if _, again := seen[u]; !again {
				seen[u] = struct{}{}
				people = append(people, c.known.person(u))
			}
		}
	}
	sortBy(people, func(p *person) user.ID { return p.user })
	return people
}

// match finds each desired user on the list, and protects the entry that it finds, under
// whichever name.
func (c *computation) match() {
	for _, p := range c.desired {
		learnt, dialled := c.actual.byWaID[p.learnt], c.actual.byWaID[p.digits]
		named := c.actual.byUserID[p.bsuid]
		for _, a := range []*listed{learnt, dialled, named} {
			if a != nil {
				a.desired, p.present = true, true
			}
		}
		switch {
		case !p.present && p.learnt == "":
			c.absent.add(p)
		case learnt == nil && dialled != nil && p.learnt != "":
			c.doubt(p.user, DoubtTwoForms)
		}
	}
}

func (c *computation) doubt(u user.ID, why Doubt) {
	c.plan.Ambiguous = append(c.plan.Ambiguous, Ambiguity{User: u, Reason: why})
}

// blocks plans who is missing.
func (c *computation) blocks() {
	first := make(map[string]struct{}, len(c.desired)) // WhatsApp IDs that are dealt with
	for _, p := range c.desired {
		if id := p.waID(); id != "" {
			if _, again := first[id]; again {
				c.doubt(p.user, DoubtShared)
				continue
			}
			first[id] = struct{}{}
		}
		siblings := c.known.siblings(p.waID(), p.bsuid)
		switch {
		case p.present:
		case c.known.busy(p.user) || c.known.anyBusy(siblings):
			c.plan.LeftAlone++
		case c.in.FromLedger && c.known.unwantedSince(p.user, siblings):
			c.doubt(p.user, DoubtOpposed)
		default:
			// By the name under which the person was asked for last, so that who asks again meanwhile
			// is ordered with it.
			u, seen := c.known.newest(p.user, siblings)
			c.plan.ToBlock = append(c.plan.ToBlock, Change{User: u, Seen: seen})
			if !c.known.seenLately(u, c.in.Base.Time()) {
				c.plan.LikelyToFail++
			}
		}
	}
}

// unblocks plans who is on the list and not desired.
func (c *computation) unblocks() {
	c.absent.addAll(c.known.unresolved())
	for _, a := range c.actual.entries {
		if a.desired {
			continue
		}
		siblings := c.known.siblings(a.entry.WaID, a.entry.UserID)
		u, seen := c.known.name(a.entry.WaID, siblings)
		why := c.doubtful(a, u)
		switch {
		case c.known.anyBusy(siblings):
			c.plan.LeftAlone++
		case why != "":
			c.doubt(u, why)
		case c.in.Mode == Adopt:
			c.plan.ToAdopt = append(c.plan.ToAdopt, Change{User: u, Seen: seen, WaID: a.entry.WaID})
		default:
			c.plan.ToUnblock = append(c.plan.ToUnblock, Change{User: u, Seen: seen, WaID: a.entry.WaID})
		}
	}
}

// doubtful says why an entry that matches nobody desired may be desired all the same.
func (c *computation) doubtful(a *listed, u user.ID) Doubt {
	switch {
	case a.entry.WaID == "":
		return DoubtNoWaID
	case u.IsZero():
		return DoubtUnreadable
	case c.absent.userIDs > 0 && a.entry.UserID == "":
		return DoubtUserID
	case c.absent.similar(a.entry.WaID):
		return DoubtSimilar
	}
	return ""
}

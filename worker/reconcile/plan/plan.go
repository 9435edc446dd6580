package plan

import (
	"slices"
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
	// Before are the users that were desired when the run began. Whoever is on the list, and
	// desired no longer, is left to the next run.
	Before []user.ID
	// Actual is a proven listing.
	Actual []client.Entry
	// Entries are all records of the ledger, read after the listing; one may come twice. One in
	// state Unknown can't be read.
	Entries []ledger.Entry
	// Pending are users of tasks that have not ended, with the newest version that names them:
	// the ledger may not have been told of them yet.
	Pending map[user.ID]ledger.Version
	// Later are users whom a job that was put off will block when it is due.
	Later map[user.ID]struct{}
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
	DoubtDiscarded  Doubt = "was last asked to be blocked, which failed and was discarded: nobody asked for an unblock"
	DoubtRecord     Doubt = "has a record in the ledger that this program can't read: it may be wanted"
	DoubtNames      Doubt = "is known under several names: a request under another one could not stop the unblock"
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
	// LeftAlone counts differences that have work waiting, put off, in flight, or done since
	// the listing began, and users who went from the desired list since.
	LeftAlone int
	// Withdrawn counts those in ToBlock who are on the list, but about to be unblocked by an
	// earlier run.
	Withdrawn int
	// LikelyToFail counts the blocks of users whom nothing shows to have written within 24
	// hours.
	LikelyToFail int
	// Hash names the unblocks of this plan: the same users, with the same records.
	Hash string
}

// After is how many users the list will hold when everything in the plan succeeds.
func (p *Plan) After() int { return p.Actual + len(p.ToBlock) - p.Withdrawn - len(p.ToUnblock) }

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool { return len(p.ToBlock)+len(p.ToUnblock)+len(p.ToAdopt) == 0 }

// finish sorts the plan and names it.
func (p *Plan) finish() {
	for _, changes := range [][]Change{p.ToBlock, p.ToUnblock, p.ToAdopt} {
		slices.SortFunc(changes, func(a, b Change) int { return user.Compare(a.User, b.User) })
	}
	p.Hash = hashOf(p.PhoneNumberID, p.ToUnblock)
}

// window is how long after a user's message a block can succeed.
const window = 24 * time.Hour

// Compute makes the plan. The result depends on nothing but in; it is in no order that a map
// gives.
func Compute(in Input) *Plan {
	c := &computation{
		in: in, plan: &Plan{PhoneNumberID: in.PhoneNumberID, Mode: in.Mode, Base: in.Base}, withdrawn: map[user.ID]struct{}{},
	}
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
	// forms are numbers of which the list may have another form.
	forms forms
	// withdrawn are in the plan's ToBlock to stop an unblock.
	withdrawn map[user.ID]struct{}
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
	slices.SortFunc(people, func(a, b *person) int { return user.Compare(a.user, b.user) })
	return people
}

// match finds each desired user on the list, and protects the entries that it finds, under
// whichever name.
func (c *computation) match() {
	for _, p := range c.desired {
		p.present = c.actual.find(p)
		for _, a := range p.present {
			a.desired = true
		}
		c.forms.add(p)
		if p.learnt != "" && c.actual.byWaID[p.learnt] == nil && c.actual.byWaID[p.digits] != nil {
			c.doubt(p.user, DoubtTwoForms)
		}
	}
	for _, u := range c.in.Before {
		for _, a := range c.actual.find(c.known.person(u)) {
			a.was = true
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
		withdrawn := c.known.withdrawable(c.known.namesOf(p))
		switch {
		case len(withdrawn) > 0:
			c.withdraw(p, withdrawn)
		case len(p.present) > 0:
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

// withdraw plans a block for each name under which an earlier run is about to unblock somebody
// who is desired by now: the newer of the two wins.
func (c *computation) withdraw(p *person, names []user.ID) {
	for _, u := range names {
		if _, again := c.withdrawn[u]; again {
			continue
		}
		c.withdrawn[u] = struct{}{}
		c.plan.ToBlock = append(c.plan.ToBlock, Change{User: u, Seen: c.known.version(u)})
		if len(p.present) > 0 {
			c.plan.Withdrawn++
		}
	}
}

// unblocks plans who is on the list and not desired.
func (c *computation) unblocks() {
	for _, p := range c.known.unresolved() {
		c.forms.add(p)
	}
	for _, a := range c.actual.entries {
		if a.desired {
			continue
		}
		siblings := c.known.siblings(a.entry.WaID, a.entry.UserID)
		u, seen := c.known.name(a.entry.WaID, siblings)
		why := c.doubtful(a, u, siblings)
		switch {
		case a.was, c.known.anyBusy(siblings), c.known.anyLater(siblings):
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
func (c *computation) doubtful(a *listed, u user.ID, siblings []user.ID) Doubt {
	switch {
	case a.entry.WaID == "":
		return DoubtNoWaID
	case u.IsZero():
		return DoubtUnreadable
	case c.forms.userIDs > 0 && a.entry.UserID == "":
		return DoubtUserID
	case c.forms.similar(a.entry.WaID):
		return DoubtSimilar
	case c.in.FromLedger && slices.ContainsFunc(siblings, c.known.unreadable):
		return DoubtRecord
	case c.in.FromLedger && c.known.discarded(siblings):
		return DoubtDiscarded
	case c.in.Mode != Adopt && len(siblings) > 1:
		return DoubtNames
	}
	return ""
}

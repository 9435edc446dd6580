// Package plan decides what a reconciliation does. It is pure: from what is desired, what is on
// the list and what the ledger knows to a [Plan], and from that to the guards it violates.
//
//	plan.go       Compute: who is blocked, unblocked, adopted or left alone
//	doubt.go      why a user is left alone
//	person.go     a desired user, and the list by the names that such a user may have on it
//	directory.go  what the ledger knows, as far as it matters
//	forms.go      numbers that may be another form of one another
//	guard.go      what stops all unblocks of a plan until it is approved by its hash
package plan

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Mode bounds what a run may do.
type Mode string

// The modes.
const (
	Report  Mode = "report"  // nothing
	Adopt   Mode = "adopt"   // block users who are missing; take foreign blocks into the ledger
	Enforce Mode = "enforce" // block users who are missing, unblock users who are not desired
	Own     Mode = "own"     // as Enforce, but unblock only users that wablock has blocked
)

// Valid reports whether m is one of the modes.
func (m Mode) Valid() bool { return m == Report || m == Adopt || m.Unblocks() }

// Unblocks reports whether a run of this mode may unblock users.
func (m Mode) Unblocks() bool { return m == Enforce || m == Own }

// Capacity is the number of users that a blocklist holds.
const Capacity = 64_000

// Input is all that a plan depends on, but for the ledger's records.
type Input struct {
	PhoneNumberID string
	Mode          Mode
	// Base is the version that was taken before the listing began.
	Base ledger.Version
	// Desired are the users that should be blocked. FromLedger takes in their place the users
	// whose last request is a block.
	Desired    []user.ID
	FromLedger bool
	// MaxDesired bounds the users that are desired FromLedger; zero does not.
	MaxDesired int
	// Before are the users that were desired when the run began. A user who is on the list, and
	// desired no longer, is left to the next run.
	Before []user.ID
	// Actual is a proven listing.
	Actual []client.Entry
	// Pending are users of tasks that have not ended, with the newest version that names them:
	// the ledger may not have been told of them yet. Compute changes it.
	Pending map[user.ID]ledger.Version
	// Later are users that a delayed job will block when it is due.
	Later map[user.ID]struct{}
	// Protected reports whether a user must not be blocked, by its name or the WhatsApp ID that the API has told,
	// "" for none; nil: all may be.
	Protected func(u user.ID, waID string) bool
}

// ErrTooMany is wrapped by Compute's error when the ledger wants more users blocked than
// [Input.MaxDesired]: plans are made in memory.
var ErrTooMany = errors.New("too many users are wanted blocked")

// Change is one user to block, unblock or adopt.
type Change struct {
	User user.ID
	// Seen is the version of the ledger's record that the decision is based on, 0 for none.
	Seen ledger.Version
	// WaID is the user's name on the list; "" for users to block.
	WaID string
}

// Plan is the difference between what is desired and what is on the list.
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
	// LeftAlone counts differences that have work waiting, delayed, in flight, or done since the
	// listing began, and users who went from the desired list since.
	LeftAlone int
	// Withdrawn counts those in ToBlock who are on the list, but about to be unblocked by an
	// earlier run.
	Withdrawn int
	// Unknown counts those in Ambiguous that a desired list from the ledger leaves alone, since the
	// ledger has no record of them.
	Unknown int
	// Protected counts desired users who are not blocked, and stay so: they must not be.
	Protected int
	// LikelyToFail counts the blocks of users without a known message within 24 hours.
	LikelyToFail int
	// Hash names the unblocks of this plan: the same users, with the same records.
	Hash string
}

// After is the number of users that the list will hold when everything in the plan succeeds.
func (p *Plan) After() int { return p.Actual + len(p.ToBlock) - p.Withdrawn - len(p.ToUnblock) }

// finish sorts the plan and sets its hash, over the users to unblock and the version of each
// record that the decision is based on. Carrying them out changes the records, so the same
// approval can't apply twice. The hash has letters alone: a run of digits would be masked as a
// phone number.
func (p *Plan) finish() {
	for _, changes := range [][]Change{p.ToBlock, p.ToUnblock, p.ToAdopt} {
		slices.SortFunc(changes, func(a, b Change) int { return user.Compare(a.User, b.User) })
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "wablock unblocks 2 %s", p.PhoneNumberID) // a hash takes everything
	for _, c := range p.ToUnblock {
		_, _ = fmt.Fprintf(h, "\n%s %d", reveal(c.User), c.Seen)
	}
	p.Hash = user.Letters(h.Sum(nil)[:10])
}

// Compute makes the plan. records are all of the ledger's, read after the listing; one may come
// twice, and one in state Unknown can't be read. They are ranged over a second time when the
// first shows that records already passed matter. What doesn't matter is not kept: a ledger has
// many more users than a list.
func Compute(in Input, records iter.Seq2[ledger.Entry, error]) (*Plan, error) {
	return newComputation(in).plans(records)
}

// computation is one run of Compute.
type computation struct {
	in      Input
	plan    *Plan
	known   *directory
	actual  *blocklist
	desired []user.ID
	// withdrawn are in the plan's ToBlock to stop an unblock.
	withdrawn map[user.ID]struct{}
}

func newComputation(in Input) *computation {
	actual := newBlocklist(in.Actual)
	return &computation{
		in: in, plan: &Plan{PhoneNumberID: in.PhoneNumberID, Mode: in.Mode, Base: in.Base},
		actual: actual, known: newDirectory(in, actual), withdrawn: map[user.ID]struct{}{},
	}
}

func (c *computation) plans(records iter.Seq2[ledger.Entry, error]) (*Plan, error) {
	if err := c.known.read(records); err != nil {
		return nil, err
	}
	c.desired = c.known.wanted()
	c.plan.Desired, c.plan.Actual = len(c.desired), len(c.actual.entries)
	c.match()
	c.blocks()
	c.unblocks()
	c.plan.finish()
	return c.plan, nil
}

// match finds each desired user on the list, and protects the entries that it finds, under
// whatever name.
func (c *computation) match() {
	for _, u := range c.desired {
		p := c.person(u)
		for _, a := range p.present {
			a.desired = true
		}
		c.known.forms.add(p)
		if p.learnt != "" && c.actual.byWaID[p.learnt] == nil && c.actual.byWaID[p.digits] != nil {
			c.doubt(u, DoubtTwoForms)
		}
	}
	for _, u := range c.in.Before {
		for _, a := range c.person(u).present {
			a.was = true
		}
	}
}

func (c *computation) person(u user.ID) *person {
	p := c.known.person(u)
	p.present = c.actual.find(p)
	return p
}

func (c *computation) doubt(u user.ID, why Doubt) {
	c.plan.Ambiguous = append(c.plan.Ambiguous, Ambiguity{User: u, Reason: why})
}

// blocks plans who is missing.
func (c *computation) blocks() {
	taken := map[string]struct{}{} // WhatsApp IDs that two desired users may share
	for _, u := range c.desired {
		p := c.person(u)
		if id := p.waID(); c.known.shared(id) {
			if _, again := taken[id]; again {
				c.doubt(u, DoubtShared)
				continue
			}
			taken[id] = struct{}{}
		}
		siblings := c.known.siblings(p.waID(), p.bsuid)
		withdrawn := c.known.withdrawable(c.known.namesOf(p))
		switch {
		case (len(withdrawn) > 0 || len(p.present) == 0) && c.protected(p, siblings):
			c.plan.Protected++
		case len(withdrawn) > 0:
			c.withdraw(p, withdrawn)
		case len(p.present) > 0:
		case c.known.busy(u) || c.known.anyBusy(siblings):
			c.plan.LeftAlone++
		case c.in.FromLedger && c.known.unwantedSince(u, siblings):
			c.doubt(u, DoubtOpposed)
		default:
			// By the name of the latest request, so that the next request under it is ordered with
			// this one.
			name, seen := c.known.newest(u, siblings)
			c.plan.ToBlock = append(c.plan.ToBlock, Change{User: name, Seen: seen})
			if !c.known.is(name, recentBlock) {
				c.plan.LikelyToFail++
			}
		}
	}
}

// protected reports whether a person must not be blocked, under any name.
func (c *computation) protected(p *person, siblings []user.ID) bool {
	if c.in.Protected == nil {
		return false
	}
	is := func(u user.ID) bool { return c.in.Protected(u, p.learnt) }
	return is(p.user) || slices.ContainsFunc(siblings, is)
}

// withdraw plans a block for each name under which an earlier run is about to unblock a user
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
			if why == DoubtUnknown {
				c.plan.Unknown++
			}
		case c.in.Mode == Adopt:
			c.plan.ToAdopt = append(c.plan.ToAdopt, Change{User: u, Seen: seen, WaID: a.entry.WaID})
		default:
			c.plan.ToUnblock = append(c.plan.ToUnblock, Change{User: u, Seen: seen, WaID: a.entry.WaID})
		}
	}
}

// doubtful returns why an entry that matches no desired user may be desired all the same, ""
// when nothing speaks for it.
func (c *computation) doubtful(a *listed, u user.ID, siblings []user.ID) Doubt {
	switch {
	case a.entry.WaID == "":
		return DoubtNoWaID
	case u.IsZero():
		return DoubtUnreadable
	case c.known.forms.userIDs && a.entry.UserID == "":
		return DoubtUserID
	case c.known.forms.similar(a.entry.WaID):
		return DoubtSimilar
	case c.in.FromLedger && c.known.any(siblings, unreadable):
		return DoubtRecord
	case c.in.FromLedger && c.known.any(siblings, discarded):
		return DoubtDiscarded
	case c.in.Mode == Adopt:
		return ""
	case len(siblings) > 1:
		return DoubtNames
	case c.in.Mode == Own && !c.known.any(siblings, ourBlock):
		return DoubtForeign
	case c.in.FromLedger && len(siblings) == 0:
		return DoubtUnknown
	}
	return ""
}

package plan

import "github.com/wablock/wablock/tasks/user"

// Ambiguity is a user that is left as it is, and the reason.
type Ambiguity struct {
	// User is zero for an entry of the list whose names the ledger can't have.
	User   user.ID
	Reason Doubt
}

// Doubt is a reason why it is not clear who a user is, or what is wanted for it.
type Doubt string

// The doubts. All but the last three keep a user on the list.
const (
	DoubtNoWaID     Doubt = "listed by a business-scoped user ID alone: its phone number is unknown"
	DoubtUnreadable Doubt = "listed under a WhatsApp ID that is not a phone number"
	DoubtSimilar    Doubt = "may be a desired number in another form, which only a call to it would show"
	DoubtUserID     Doubt = "may be a desired business-scoped user ID, which is not on the list by that name"
	DoubtDiscarded  Doubt = "its last request is a block, which failed and was discarded: no unblock was requested"
	DoubtRecord     Doubt = "has a record in the ledger that this program can't read: it may be wanted"
	DoubtNames      Doubt = "is known under several names: a request under another one could not stop the unblock"
	DoubtUnknown    Doubt = "the ledger has no record of it: blocked elsewhere, or the record was lost"
	DoubtForeign    Doubt = "its last success in the ledger is not a block: blocked elsewhere"
	DoubtTwoForms   Doubt = "listed under the dialled digits, but the API knows the number under another WhatsApp ID"
	DoubtShared     Doubt = "two desired numbers are one WhatsApp ID: only one of them is compared"
	DoubtOpposed    Doubt = "the same WhatsApp ID has requests under two numbers, one to block and one to unblock"
)

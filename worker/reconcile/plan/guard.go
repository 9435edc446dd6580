package plan

import "fmt"

// DefaultMaxChanges bounds the unblocks of one run when nothing else is configured.
const DefaultMaxChanges = 500

// The bounds that no setting changes.
const (
	maxUnblockPercent = 5 // of the actual list, but always one user
	shareFrom         = 3 // users on the list from which the share counts
	shrinkFactor      = 2 // a desired list shorter than the last by more than this is not believed
)

// Guard is a rule that keeps a plan's unblocks from being carried out.
type Guard string

// The guards.
const (
	GuardMaxChanges Guard = "max_changes"
	GuardShare      Guard = "share"
	GuardFirst      Guard = "first"
	GuardEmpty      Guard = "empty"
	GuardShrunk     Guard = "shrunk"
	GuardRejected   Guard = "rejected"
)

// Violation is a guard that a plan violates, in words with the counts.
type Violation struct {
	Guard Guard  `json:"guard"`
	Text  string `json:"text"`
}

// Limits are the bounds that guards compare a plan with.
type Limits struct {
	MaxChanges int
	// First means that no run of this source is remembered: the list may be the wrong one, or
	// Redis may have lost its data.
	First bool
	// LastDesired is the length of the desired list at the last run that believed it.
	LastDesired int
	// Rejected counts the lines of the desired list that are not a number. The users that were
	// meant would be taken for not desired.
	Rejected int
}

// Shrunk reports whether the desired list is less than half as long as it was at the last run
// that believed it.
func (l Limits) Shrunk(p *Plan) bool { return p.Desired*shrinkFactor < l.LastDesired }

// Check returns the guards that a plan violates. A plan without unblocks violates none, unless
// the ledger knows nothing of users on the list.
func (l Limits) Check(p *Plan) []Violation {
	n := len(p.ToUnblock)
	var found []Violation
	violated := func(g Guard, format string, args ...any) {
		found = append(found, Violation{Guard: g, Text: fmt.Sprintf(format, args...)})
	}
	if l.First && n+p.Unknown > 1 {
		violated(GuardFirst, "no earlier run with this desired list is remembered: check that %d of the %d on the list are to be unblocked, and that the ledger has no record of another %d", n, p.Actual, p.Unknown)
	}
	if n == 0 {
		return found
	}
	if n > l.MaxChanges {
		violated(GuardMaxChanges, "%d unblocks, more than the %d of max_changes", n, l.MaxChanges)
	}
	if p.Actual >= shareFrom && n > 1 && 100*n > maxUnblockPercent*p.Actual {
		violated(GuardShare, "%d unblocks, more than %d %% of the %d on the list", n, maxUnblockPercent, p.Actual)
	}
	if p.Desired == 0 {
		violated(GuardEmpty, "no user is desired: %d of %d would be unblocked", n, p.Actual)
	}
	if l.Shrunk(p) {
		violated(GuardShrunk, "%d are desired, less than half of the %d of the last run", p.Desired, l.LastDesired)
	}
	if l.Rejected > 0 {
		violated(GuardRejected, "%d lines of the desired list are not numbers: the users that were meant would be unblocked", l.Rejected)
	}
	return found
}

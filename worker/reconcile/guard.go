package reconcile

import "fmt"

// DefaultMaxChanges bounds the unblocks of one run when nothing else is configured.
const DefaultMaxChanges = 500

// The bounds that are nobody's setting.
const (
	share        = 20 // one in so many of the actual list is what a run may unblock: 5 %
	shareFrom    = 20 // users on the list from which the share counts
	shrinkFactor = 2  // a desired list shorter than the last by more than this is not believed
)

// Guard is a rule that keeps a plan's unblocks from being carried out.
type Guard string

// The guards.
const (
	GuardMaxChanges Guard = "max_changes"
	GuardShare      Guard = "share"
	GuardEmpty      Guard = "empty"
	GuardShrunk     Guard = "shrunk"
	GuardRejected   Guard = "rejected"
)

// Trip is a guard that stopped something, in words with the counts.
type Trip struct {
	Guard Guard  `json:"guard"`
	Text  string `json:"text"`
}

// Limits are what guards hold a plan against.
type Limits struct {
	MaxChanges int
	// LastDesired is how long the desired list was at the last run that believed it, 0 when
	// there was none.
	LastDesired int
	// Rejected counts the lines of the desired list that are no number. Whoever was meant
	// would be taken for not desired.
	Rejected int
}

// Check returns the guards that the plan trips. A plan without unblocks trips none.
func (p *Plan) Check(l Limits) []Trip {
	n := len(p.ToUnblock)
	if n == 0 {
		return nil
	}
	var trips []Trip
	trip := func(g Guard, format string, args ...any) {
		trips = append(trips, Trip{Guard: g, Text: fmt.Sprintf(format, args...)})
	}
	if n > l.MaxChanges {
		trip(GuardMaxChanges, "%d unblocks, more than the %d of max_changes", n, l.MaxChanges)
	}
	if p.Actual >= shareFrom && n*share > p.Actual {
		trip(GuardShare, "%d unblocks, more than 5 %% of the %d on the list", n, p.Actual)
	}
	if p.Desired == 0 {
		trip(GuardEmpty, "nobody is desired: %d of %d would be unblocked", n, p.Actual)
	}
	if p.Desired*shrinkFactor < l.LastDesired {
		trip(GuardShrunk, "%d are desired, less than half of the %d of the last run", p.Desired, l.LastDesired)
	}
	if l.Rejected > 0 {
		trip(GuardRejected, "%d lines of the desired list are no numbers: who was meant would be unblocked", l.Rejected)
	}
	return trips
}

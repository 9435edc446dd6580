package reconcile

import (
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// Trigger names the cause of a run.
type Trigger string

// The triggers.
const (
	ByCommand  Trigger = "command"
	BySchedule Trigger = "schedule"
)

// Record is the memory of one run. It holds no user.
type Record struct {
	RunID         string           `json:"run_id"`
	PhoneNumberID string           `json:"phone_number_id"`
	Trigger       Trigger          `json:"trigger"`
	Slot          time.Time        `json:"slot,omitzero"` // of the schedule
	StartedAt     time.Time        `json:"started_at"`
	EndedAt       time.Time        `json:"ended_at"`
	Mode          plan.Mode        `json:"mode"`
	Source        string           `json:"source"`
	Desired       int              `json:"desired"`
	Actual        int              `json:"actual"`
	ToBlock       int              `json:"to_block"`
	ToUnblock     int              `json:"to_unblock"`
	ToAdopt       int              `json:"to_adopt,omitempty"`
	Ambiguous     int              `json:"ambiguous,omitempty"`
	LeftAlone     int              `json:"left_alone,omitempty"`
	LikelyToFail  int              `json:"likely_to_fail,omitempty"`
	Protected     int              `json:"protected,omitempty"`
	Rejected      int              `json:"rejected,omitempty"`
	Blocks        int              `json:"blocks_enqueued"`
	Unblocks      int              `json:"unblocks_enqueued"`
	Adopted       int              `json:"adopted,omitempty"`
	Hash          string           `json:"hash,omitempty"`
	Guards        []plan.Violation `json:"guards,omitempty"`
	Approved      bool             `json:"approved,omitempty"`
	Applied       bool             `json:"applied"`
	Error         string           `json:"error,omitempty"`
}

// Good reports whether the run did all that it was for. For one that only reports, guards say
// no more than what would be.
func (r Record) Good() bool {
	return r.Error == "" && (len(r.Guards) == 0 || r.Approved || r.Mode == plan.Report)
}

// Listed reports whether the run read the whole blocklist: what it found holds while later runs fail.
func (r Record) Listed() bool { return r.Hash != "" }

// Duration is the time that the run took.
func (r Record) Duration() time.Duration { return r.EndedAt.Sub(r.StartedAt) }

// complete takes in what the run found and did, and how it ended.
func (r *Record) complete(res *Result, err error) {
	r.EndedAt = time.Now().UTC()
	if p := res.Plan; p != nil {
		r.Desired, r.Actual, r.ToBlock, r.ToUnblock, r.ToAdopt = p.Desired, p.Actual, len(p.ToBlock), len(p.ToUnblock), len(p.ToAdopt)
		r.Ambiguous, r.LeftAlone, r.LikelyToFail, r.Protected, r.Hash = len(p.Ambiguous), p.LeftAlone, p.LikelyToFail, p.Protected, p.Hash
	}
	r.Rejected, r.Guards, r.Approved, r.Applied = len(res.Rejected), res.Violations, res.Approved, res.Applied
	r.Adopted = res.Adopted
	for _, j := range res.Jobs {
		if j.Operation == ledger.Block {
			r.Blocks += j.Accepted
		} else {
			r.Unblocks += j.Accepted
		}
	}
	if err != nil {
		r.Error = user.Scrub(err.Error())
	}
}

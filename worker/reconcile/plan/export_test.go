package plan

import (
	"iter"

	"github.com/wablock/wablock/tasks/ledger"
)

// ComputeAll is Compute, but keeps every record.
func ComputeAll(in Input, records iter.Seq2[ledger.Entry, error]) (*Plan, error) {
	c := newComputation(in)
	for e := range records {
		c.known.before[e.User] = struct{}{} // matters, and no more
	}
	return c.plans(records)
}

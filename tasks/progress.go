package tasks

import (
	"context"
	"fmt"
	"slices"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Progress counts what has become of a job's users.
type Progress struct {
	Succeeded int
	// DeadLettered failed for good, whether or not somebody has discarded them since.
	DeadLettered int
	// Superseded were asked for again in a newer request, which alone counts.
	Superseded int
	// Pending have not ended yet.
	Pending int
}

// Progress says what the ledger holds of a job: pass what Enqueue returned. It is exact while
// the job runs; a user whose request was done and then asked for again counts as superseded.
func (p *Producer) Progress(ctx context.Context, phoneNumberID string, v ledger.Version, users []user.ID) (Progress, error) {
	if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
		return Progress{}, fmt.Errorf("tasks: progress: %w", err)
	}
	l := ledger.New(p.rdb, phoneNumberID)
	var sum Progress
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		entries, err := l.Entries(ctx, chunk)
		if err != nil {
			return Progress{}, fmt.Errorf("tasks: progress: %w", err)
		}
		for _, e := range entries {
			sum.count(e, v)
		}
	}
	return sum, nil
}

func (p *Progress) count(e ledger.Entry, v ledger.Version) {
	switch {
	case e.Version > v:
		p.Superseded++
	case e.Version < v: // not marked yet
		p.Pending++
	case e.State == ledger.Succeeded:
		p.Succeeded++
	case e.State == ledger.Dead, e.State == ledger.Discarded:
		p.DeadLettered++
	default:
		p.Pending++
	}
}

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
	// DeadLettered failed for good, discarded since or not.
	DeadLettered int
	// Superseded were asked for again in a newer request, which alone counts.
	Superseded int
	// Canceled were withdrawn with their job before they went out.
	Canceled int
	// Pending have not ended yet.
	Pending int
	// Window counts those of DeadLettered that failed with CodeWindow: where the block is a standing one, they wait
	// until the user writes.
	Window int
}

// CodeWindow is the API's code for a user who has not written in the last 24 hours, and so can't be blocked yet.
const CodeWindow = 131047

// Progress counts what the ledger holds of a job: pass what Enqueue returned. It is exact while
// the job runs; a user whose request was done and then asked for again counts as superseded.
func (p *Producer) Progress(ctx context.Context, phoneNumberID string, v ledger.Version, users []user.ID) (Progress, error) {
	if err := queues.CheckPhoneNumberID(phoneNumberID); err != nil {
		return Progress{}, fmt.Errorf("tasks: progress: %w", err)
	}
	return readProgress(ctx, ledger.New(p.rdb, phoneNumberID), v, users)
}

func readProgress(ctx context.Context, l *ledger.Ledger, v ledger.Version, users []user.ID) (sum Progress, err error) {
	jobs, err := l.JobsOf(ctx, []ledger.Version{v})
	if err != nil {
		return Progress{}, fmt.Errorf("tasks: progress: %w", err)
	}
	canceled := jobs[v].Counts.Flagged
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		entries, err := l.Entries(ctx, chunk)
		if err != nil {
			return Progress{}, fmt.Errorf("tasks: progress: %w", err)
		}
		for _, e := range entries {
			sum.count(e, v, canceled)
		}
	}
	return sum, nil
}

func (p *Progress) count(e ledger.Entry, v ledger.Version, canceled bool) {
	switch {
	case e.Version > v:
		p.Superseded++
	case e.Version < v && canceled:
		p.Canceled++
	case e.Version < v: // not marked yet
		p.Pending++
	case e.State == ledger.Succeeded:
		p.Succeeded++
	case e.State == ledger.Dead, e.State == ledger.Discarded:
		p.DeadLettered++
		if e.Failure != nil && e.Failure.Code == CodeWindow {
			p.Window++
		}
	default:
		p.Pending++
	}
}

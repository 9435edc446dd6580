package deadletter

import (
	"context"
	"fmt"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// DiscardOptions tune Discard; the zero value discards.
type DiscardOptions struct {
	// DryRun changes nothing.
	DryRun bool
	// Each, if set, is told of each entry.
	Each func(e Letter)
}

// Discard lets go of the entries that pass f: nobody will try them again, unless somebody asks
// anew. It returns how many. After an error it is safe to repeat.
func (d *Queue) Discard(ctx context.Context, f Filter, o DiscardOptions) (int, error) {
	n := 0
	for chunk, err := range d.chunks(ctx, f) {
		if err == nil && !o.DryRun {
			err = d.discard(ctx, chunk)
		}
		if err != nil {
			return n, fmt.Errorf("tasks: discard: %w", queues.Explain(err))
		}
		n += len(chunk)
		if o.Each != nil {
			for _, e := range chunk {
				o.Each(e)
			}
		}
	}
	return n, nil
}

// discard tells the ledger first: else a task that runs again puts the entry back.
func (d *Queue) discard(ctx context.Context, entries []Letter) error {
	byNumber := make(map[string][]Letter)
	var malformed []string
	for _, e := range entries {
		if e.Malformed != nil {
			malformed = append(malformed, e.ID)
			continue
		}
		byNumber[e.PhoneNumberID] = append(byNumber[e.PhoneNumberID], e)
	}
	for number, entries := range byNumber {
		l := ledger.New(d.rdb, number)
		err := parallel.Each(ctx, entries, func(ctx context.Context, e Letter) error {
			_, err := l.Discard(ctx, e.User, e.Version) // false: a newer request has taken its place
			return err
		})
		if err != nil {
			return err
		}
		if err := d.dropEntries(ctx, number, entries); err != nil {
			return err
		}
	}
	return d.deleteTasks(ctx, malformed)
}

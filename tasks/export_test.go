package tasks

import "context"

// DropEntries is the second half of a redrive, for a test of what happens between the halves.
func (d *DeadLetters) DropEntries(ctx context.Context, phoneNumberID string, entries []DeadLetter) error {
	return d.dropEntries(ctx, phoneNumberID, entries)
}

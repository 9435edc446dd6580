package deadletter

import "context"

// DropEntries is the second half of a redrive, for a test of what happens between the halves.
func (d *Queue) DropEntries(ctx context.Context, phoneNumberID string, letters []Letter) error {
	return d.dropLetters(ctx, phoneNumberID, letters)
}

package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/wablock/wablock/tasks/user"
)

// NewerNames returns, for each entry, the entry of the newest request that was made for the same
// person under another name, as far as the API has told that the two are one (see WaID), and the
// zero Entry where none is newer. That request decides. It takes at most MaxBatch entries.
func (l *Ledger) NewerNames(ctx context.Context, entries []Entry) ([]Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(entries)); err != nil {
		return nil, fmt.Errorf("ledger: names: %w", err)
	}
	waIDs := make([]string, len(entries))
	for i, e := range entries {
		if waIDs[i] = e.WaID; e.WaID == "" {
			waIDs[i] = strings.TrimPrefix(e.User.Reveal(), "+")
		}
	}
	known, err := l.rdb.HMGet(ctx, l.namesKey, waIDs...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: names: %w", err)
	}
	var names []user.ID
	var whose []int // which of the entries each name is another one for
	for i, e := range entries {
		words, _ := known[i].(string)
		for _, name := range append(strings.Fields(words), "+"+waIDs[i]) {
			if id, err := user.FromCanonical(name); err == nil && id != e.User {
				names, whose = append(names, id), append(whose, i)
			}
		}
	}
	newer := make([]Entry, len(entries))
	for len(names) > 0 {
		n := min(len(names), MaxBatch)
		others, err := l.Entries(ctx, names[:n])
		if err != nil {
			return nil, err
		}
		for j, o := range others {
			i := whose[j]
			same := o.WaID == "" || o.WaID == waIDs[i]
			if o.State != Unknown && same && o.Version > max(entries[i].Version, newer[i].Version) {
				newer[i] = o
			}
		}
		names, whose = names[n:], whose[n:]
	}
	return newer, nil
}

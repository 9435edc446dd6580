package ledger

import (
	"context"
	"fmt"
	"slices"
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

// NamesOf returns, for each user, the names of its person that are known, itself among them; the first is the one under
// which its record stands since [Ledger.Join], and what a call names. It takes at most MaxBatch users.
func (l *Ledger) NamesOf(ctx context.Context, users []user.ID) ([][]user.ID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return nil, fmt.Errorf("ledger: names: %w", err)
	}
	persons, err := l.Persons(ctx, users)
	if err != nil {
		return nil, err
	}
	all, numbers := make([][]user.ID, len(users)), make([]string, len(users))
	for i, p := range persons {
		all[i] = []user.ID{p}
		if users[i] != p {
			all[i] = append(all[i], users[i])
		}
		numbers[i] = strings.TrimPrefix(p.Reveal(), "+")
	}
	others, err := l.rdb.HMGet(ctx, l.namesKey, numbers...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: names: %w", err)
	}
	for i := range users {
		words, _ := others[i].(string)
		for name := range strings.FieldsSeq(words) {
			if id, err := user.FromCanonical(name); err == nil && !slices.Contains(all[i], id) {
				all[i] = append(all[i], id)
			}
		}
	}
	return all, nil
}

// Persons returns, for each user, the name under which the record of its person stands: itself where no other is known. It
// takes at most MaxBatch users.
func (l *Ledger) Persons(ctx context.Context, users []user.ID) ([]user.ID, error) {
	if len(users) == 0 {
		return nil, nil
	}
	if err := checkBatch(len(users)); err != nil {
		return nil, fmt.Errorf("ledger: persons: %w", err)
	}
	given := make([]string, len(users))
	for i, u := range users {
		given[i] = u.Reveal()
	}
	known, err := l.rdb.HMGet(ctx, l.personsKey, given...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: persons: %w", err)
	}
	persons := slices.Clone(users)
	for i, k := range known {
		name, _ := k.(string)
		if p, err := user.FromCanonical(name); err == nil {
			persons[i] = p
		}
	}
	return persons, nil
}

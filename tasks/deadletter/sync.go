package deadletter

import (
	"context"
	"maps"
	"slices"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Synced counts what Sync did.
type Synced struct{ Put, Removed int }

// syncing is one run of Sync.
type syncing struct {
	queue *Queue
	sum   Synced
}

// number goes through the users that the index of a phone number ID names, then through those of the letters, given by
// ID, that it does not name: a failover may have lost a part of the index.
func (s *syncing) number(ctx context.Context, phoneNumberID string, ids []string) error {
	h, err := readHasher(ctx, s.queue.rdb)
	if err != nil {
		return err
	}
	unnamed := make(map[string]bool, len(ids))
	for _, id := range ids {
		unnamed[id] = true
	}
	for cursor := uint64(0); ; {
		names, next, err := s.queue.rdb.SScan(ctx, ledger.DeadKey(phoneNumberID), cursor, "", chunkSize).Result()
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(names, ledger.MaxBatch) {
			users := make([]user.ID, 0, len(chunk))
			for _, name := range chunk {
				if u, err := user.FromCanonical(name); err == nil {
					users = append(users, u)
				}
			}
			if err := s.users(ctx, h, phoneNumberID, users); err != nil {
				return err
			}
			for _, id := range h.users(phoneNumberID, users) {
				delete(unnamed, id)
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(unnamed)), ledger.MaxBatch) {
		if err := s.unnamed(ctx, phoneNumberID, chunk); err != nil {
			return err
		}
	}
	return nil
}

// users looks at the queue first: what is redriven or discarded in between is no longer dead by the
// ledger when that is looked at.
func (s *syncing) users(ctx context.Context, h hasher, phoneNumberID string, users []user.ID) error {
	there, err := s.queue.there(ctx, h.users(phoneNumberID, users))
	if err != nil {
		return err
	}
	records, err := ledger.New(s.queue.rdb, phoneNumberID).Entries(ctx, users)
	if err != nil {
		return err
	}
	have := make(map[user.ID]ledger.Version)
	for i, e := range records {
		switch {
		case e.State == ledger.Dead && !there[i]:
			have[e.User] = 0
			s.sum.Put++
		case e.State == ledger.Succeeded, e.State == ledger.Discarded:
			have[e.User] = 1 // some version, or none: the index is to forget the user in any case
			if there[i] {
				s.sum.Removed++
			}
		}
	}
	return s.queue.align(ctx, h, phoneNumberID, have)
}

// unnamed removes those of some letters whose users have succeeded or were discarded, and puts the
// others' users into the index.
func (s *syncing) unnamed(ctx context.Context, phoneNumberID string, ids []string) error {
	letters, err := s.queue.fetchAll(ctx, ids)
	if err != nil {
		return err
	}
	letters = slices.DeleteFunc(letters, func(e Letter) bool { return e.Malformed != nil || e.PhoneNumberID != phoneNumberID })
	users := make([]user.ID, len(letters))
	for i, e := range letters {
		users[i] = e.User
	}
	if err := s.queue.index(ctx, phoneNumberID, users); err != nil {
		return err
	}
	records, err := ledger.New(s.queue.rdb, phoneNumberID).Entries(ctx, users)
	if err != nil {
		return err
	}
	var ended []Letter
	for i, e := range records {
		if e.State == ledger.Succeeded || e.State == ledger.Discarded {
			ended = append(ended, letters[i])
		}
	}
	s.sum.Removed += len(ended)
	return s.queue.dropLetters(ctx, phoneNumberID, ended)
}

package deadletter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// The ledger is written first, then the dead-letter queue. A process that dies in between leaves
// entries that no longer fit the ledger, or none where there should be one, and the users' tasks
// do not always come back to mend it.

// RemoveStale deletes the entries of users who have succeeded or were let go since, of all phone
// number IDs, and returns how many. It reads the IDs of the queue's tasks, then a thousand users
// at a time: some microseconds an entry, and nothing for who has none.
func (d *Queue) RemoveStale(ctx context.Context) (int, error) {
	ids, err := d.ids(ctx, Filter{})
	if err != nil {
		return 0, fmt.Errorf("tasks: remove stale dead letters: %w", err)
	}
	n, last := 0, ""
	for _, id := range ids { // those of a phone number ID stand together
		number, _, _ := strings.Cut(id, ":")
		if number == last || queues.CheckPhoneNumberID(number) != nil { // as of a malformed task
			continue
		}
		last = number
		removed, err := d.removeStale(ctx, number)
		if n += removed; err != nil {
			return n, fmt.Errorf("tasks: remove stale dead letters: %w", err)
		}
	}
	return n, nil
}

func (d *Queue) removeStale(ctx context.Context, phoneNumberID string) (n int, err error) {
	for cursor := uint64(0); ; {
		names, next, err := d.rdb.SScan(ctx, indexName(phoneNumberID), cursor, "", chunkSize).Result()
		if err != nil {
			return n, err
		}
		for chunk := range slices.Chunk(names, ledger.MaxBatch) {
			stale, err := d.stale(ctx, phoneNumberID, chunk)
			if err != nil {
				return n, err
			}
			if err := d.Remove(ctx, phoneNumberID, stale...); err != nil { // who died anew meanwhile comes back
				return n, err
			}
			n += len(stale)
		}
		if cursor = next; cursor == 0 {
			return n, nil
		}
	}
}

// stale returns those of the users in the index who should have no entry.
func (d *Queue) stale(ctx context.Context, phoneNumberID string, names []string) ([]user.ID, error) {
	users := make([]user.ID, 0, len(names))
	for _, name := range names {
		if u, err := user.FromCanonical(name); err == nil {
			users = append(users, u)
		}
	}
	entries, err := ledger.New(d.rdb, phoneNumberID).Entries(ctx, users)
	var stale []user.ID
	for _, e := range entries {
		if e.State == ledger.Succeeded || e.State == ledger.Discarded {
			stale = append(stale, e.User)
		}
	}
	return stale, err
}

// PutMissing puts the entries of those of the users whom the ledger holds dead and who have none,
// and returns how many. Asking costs some microseconds a user.
func (d *Queue) PutMissing(ctx context.Context, phoneNumberID string, users []user.ID) (n int, err error) {
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		missing, err := d.missing(ctx, phoneNumberID, chunk)
		if err == nil {
			err = d.Put(ctx, missing...)
		}
		if err != nil {
			return n, fmt.Errorf("tasks: put missing dead letters: %w", err)
		}
		n += len(missing)
	}
	return n, nil
}

// missing looks at the queue first: what is redriven or discarded in between is no longer dead
// by the ledger when that is looked at.
func (d *Queue) missing(ctx context.Context, phoneNumberID string, users []user.ID) ([]Letter, error) {
	h, err := d.hasher(ctx)
	if err != nil {
		return nil, err
	}
	pipe := d.rdb.Pipeline()
	there := make([]*redis.IntCmd, len(users))
	for i, id := range h.users(phoneNumberID, users) {
		there[i] = pipe.Exists(ctx, queueKey("t:"+id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var without []user.ID
	for i, u := range users {
		if there[i].Val() == 0 {
			without = append(without, u)
		}
	}
	entries, err := ledger.New(d.rdb, phoneNumberID).Entries(ctx, without)
	var missing []Letter
	for _, e := range entries {
		if e.State == ledger.Dead {
			missing = append(missing, Of(phoneNumberID, e))
		}
	}
	return missing, err
}

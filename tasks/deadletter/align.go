package deadletter

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Putting and removing are several commands each, and two processes may do both for one user
// at the same time, one of them late. So whoever has written looks at the ledger afterwards,
// which is true, and mends what no longer fits it. The last one to write looks last.

// alignRounds bounds the mending; a second round is needed only when the ledger changed again
// in the meantime, and whoever changed it looks as well.
const alignRounds = 3

// align makes the entries of some users fit the ledger: have is the version of the entry that
// was just written for each, 0 when it was removed.
func (d *Queue) align(ctx context.Context, h hasher, phoneNumberID string, have map[user.ID]ledger.Version) error {
	l := ledger.New(d.rdb, phoneNumberID)
	for range alignRounds {
		var put []Letter
		var drop []user.ID
		for chunk := range slices.Chunk(slices.Collect(maps.Keys(have)), ledger.MaxBatch) {
			entries, err := l.Entries(ctx, chunk)
			if err != nil {
				return err
			}
			for _, e := range entries {
				switch {
				case e.State == ledger.Dead && e.Version > have[e.User]:
					dead := Of(phoneNumberID, e)
					dead.ID = h.of(dead)
					put = append(put, dead)
				case (e.State == ledger.Succeeded || e.State == ledger.Discarded) &&
					have[e.User] > 0 && e.Version >= have[e.User]:
					drop = append(drop, e.User)
				}
			}
		}
		if len(put)+len(drop) == 0 {
			return nil
		}
		clear(have)
		for _, e := range put {
			have[e.User] = e.Version
		}
		if err := d.write(ctx, put, map[string]map[user.ID]ledger.Version{phoneNumberID: maps.Clone(have)}); err != nil {
			return err
		}
		if err := d.drop(ctx, phoneNumberID, drop, h.users(phoneNumberID, drop)); err != nil {
			return err
		}
		for _, u := range drop {
			have[u] = 0
		}
	}
	return nil
}

// drop deletes entries of users of one phone number ID, then takes the users off the index.
func (d *Queue) drop(ctx context.Context, phoneNumberID string, users []user.ID, ids []string) error {
	if len(users) == 0 {
		return nil
	}
	if err := d.deleteTasks(ctx, ids); err != nil {
		return err
	}
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		if err := d.rdb.SRem(ctx, indexName(phoneNumberID), revealed(chunk)...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// deleteTasks deletes entries, waiting for a handler that holds one.
func (d *Queue) deleteTasks(ctx context.Context, ids []string) error {
	return parallel.Each(ctx, ids, func(ctx context.Context, id string) error {
		for range putTries {
			err := d.inspector.DeleteTask(queues.DeadLetter, id)
			if err == nil || queues.IsGone(err) {
				return nil
			}
			info, look := d.inspector.GetTaskInfo(queues.DeadLetter, id) // the error has no kind
			if queues.IsGone(look) {
				return nil
			}
			if look != nil || info.State != asynq.TaskStateActive {
				return err
			}
			if err := pause(ctx, putPause); err != nil {
				return err
			}
		}
		return ErrBusy
	})
}

// Remove deletes the entries of users that succeeded since. It costs one round trip when none
// of them has one. An entry that the ledger still holds dead comes back: to let go of it is
// [Queue.Discard].
func (d *Queue) Remove(ctx context.Context, phoneNumberID string, users ...user.ID) error {
	for chunk := range slices.Chunk(users, ledger.MaxBatch) {
		if err := d.remove(ctx, phoneNumberID, chunk); err != nil {
			return fmt.Errorf("tasks: remove dead letters: %w", err)
		}
	}
	return nil
}

func (d *Queue) remove(ctx context.Context, phoneNumberID string, users []user.ID) error {
	listed, err := d.rdb.SMIsMember(ctx, indexName(phoneNumberID), revealed(users)...).Result()
	if err != nil {
		return err
	}
	have := make(map[user.ID]ledger.Version)
	for i, yes := range listed {
		if yes {
			have[users[i]] = 0
		}
	}
	if len(have) == 0 {
		return nil
	}
	h, err := d.hasher(ctx)
	if err != nil {
		return err
	}
	found := slices.Collect(maps.Keys(have))
	if err := d.drop(ctx, phoneNumberID, found, h.users(phoneNumberID, found)); err != nil {
		return err
	}
	return d.align(ctx, h, phoneNumberID, have)
}

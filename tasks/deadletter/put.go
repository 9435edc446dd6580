package deadletter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// restsUntil is when asynq would run the entries: never, for all that anybody plans.
var restsUntil = time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC)

// An entry that is just being redriven can't be replaced; it is for milliseconds.
const (
	putTries = 40
	putPause = 50 * time.Millisecond
)

// ErrBusy is wrapped when an entry stays in the hands of a handler: do it again later.
var ErrBusy = errors.New("the entry is being redriven at this moment: do it again")

// Put takes entries in. A user's entry replaces an older one; putting the same again changes
// nothing; one that the ledger says succeeded or was discarded meanwhile is dropped. After an
// error some may have been put: put all again.
func (d *Queue) Put(ctx context.Context, entries ...Letter) error {
	if len(entries) == 0 {
		return nil
	}
	if err := d.put(ctx, entries); err != nil {
		return fmt.Errorf("tasks: put dead letters: %w", queues.Explain(err))
	}
	return nil
}

func (d *Queue) put(ctx context.Context, entries []Letter) error {
	h, err := d.hasher(ctx)
	if err != nil {
		return err
	}
	byID := make(map[string]Letter, len(entries))
	byNumber := make(map[string]map[user.ID]ledger.Version)
	for _, e := range entries {
		if e.Malformed == nil {
			if reason := e.fault(); reason != "" {
				return errors.New("an entry with " + reason)
			}
		}
		e.ID = h.of(e)
		if old, twice := byID[e.ID]; twice && old.Version >= e.Version {
			continue
		}
		byID[e.ID] = e
		if e.Malformed == nil {
			if byNumber[e.PhoneNumberID] == nil {
				byNumber[e.PhoneNumberID] = make(map[user.ID]ledger.Version)
			}
			byNumber[e.PhoneNumberID][e.User] = e.Version
		}
	}
	if err := d.write(ctx, slices.Collect(maps.Values(byID)), byNumber); err != nil {
		return err
	}
	for number, have := range byNumber {
		if err := d.align(ctx, h, number, have); err != nil {
			return err
		}
	}
	return nil
}

// write puts the index first, then the entries.
func (d *Queue) write(ctx context.Context, entries []Letter, byNumber map[string]map[user.ID]ledger.Version) error {
	for number, users := range byNumber {
		for chunk := range slices.Chunk(slices.Collect(maps.Keys(users)), ledger.MaxBatch) {
			if err := d.rdb.SAdd(ctx, indexName(number), revealed(chunk)...).Err(); err != nil {
				return err
			}
		}
	}
	// Of its own: a Client registers a queue once in its life, and not again after Redis has
	// lost its data.
	client := asynq.NewClientFromRedisClient(d.rdb)
	return parallel.Each(ctx, entries, func(ctx context.Context, e Letter) error {
		return d.putOne(ctx, client, e)
	})
}

func revealed(users []user.ID) []any {
	out := make([]any, len(users))
	for i, u := range users {
		out[i] = u.Reveal()
	}
	return out
}

func (d *Queue) putOne(ctx context.Context, client *asynq.Client, e Letter) error {
	payload, err := e.encode()
	if err != nil {
		return err
	}
	task := asynq.NewTask(queues.TypeDeadLetter, payload, append(queues.Options(e.ID),
		asynq.Queue(queues.DeadLetter), asynq.ProcessAt(restsUntil))...)
	for range putTries {
		_, err := client.EnqueueContext(ctx, task)
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return err
		}
		done, err := d.replace(ctx, e, payload)
		if err != nil || done {
			return err
		}
	}
	return ErrBusy
}

// replace puts e in the place of the entry of the same ID, if that is older. Neither done nor
// an error means that e is to be enqueued again.
func (d *Queue) replace(ctx context.Context, e Letter, payload []byte) (done bool, err error) {
	info, err := d.inspector.GetTaskInfo(queues.DeadLetter, e.ID)
	if queues.IsGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if old, err := decodeDeadLetter(info.Type, info.Payload); err == nil && old.Version >= e.Version {
		return true, nil
	}
	switch info.State {
	case asynq.TaskStateActive:
		return false, pause(ctx, putPause)
	case asynq.TaskStateScheduled:
		if err = d.inspector.UpdateTaskPayload(queues.DeadLetter, e.ID, payload); err == nil {
			return true, nil
		}
	default:
		if err = d.inspector.DeleteTask(queues.DeadLetter, e.ID); err == nil {
			return false, nil
		}
	}
	// Either the entry moved in between, or the error is real; asynq's errors have no kinds.
	now, look := d.inspector.GetTaskInfo(queues.DeadLetter, e.ID)
	if queues.IsGone(look) || look == nil && now.State != info.State {
		return false, nil
	}
	return false, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

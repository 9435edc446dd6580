package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// store is the asynq side of the queue: its tasks, found by ID and by state.
type store struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

// restsUntil is the time at which asynq would run the letters: later than any plan.
var restsUntil = time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC)

// A letter that is just being redriven can't be replaced; it is for milliseconds.
const (
	putTries = 40
	putPause = 50 * time.Millisecond
)

// ErrBusy is wrapped when a letter stays in the hands of a handler: do it again later.
var ErrBusy = errors.New("the dead letter is being redriven at this moment: do it again")

// fetch returns the letter of a task ID, nil when there is none.
func (s *store) fetch(id string) (*Letter, error) {
	info, err := s.inspector.GetTaskInfo(queues.DeadLetter, id)
	if queues.IsGone(err) {
		return nil, nil //nolint:nilnil // the comment says so
	}
	if err != nil {
		return nil, err
	}
	e := Read(info.Type, id, info.Payload)
	return &e, nil
}

// Read decodes the payload of a task in the queue. A task that is not a letter comes out as a
// malformed one.
func Read(typ, id string, payload []byte) Letter {
	e, err := decodeDeadLetter(typ, payload)
	if err != nil {
		e = NewMalformed(typ, queues.DeadLetter, id, payload, err)
		e.FirstFailedAt, e.LastFailedAt = time.Time{}, time.Time{} // unknown
	}
	e.ID = id
	return e
}

func (s *store) putOne(ctx context.Context, client *asynq.Client, e Letter) error {
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
		done, err := s.replace(ctx, e, payload)
		if err != nil || done {
			return err
		}
	}
	return ErrBusy
}

// replace puts e in the place of the letter of the same ID, if that is older. Neither done nor
// an error means that e is to be enqueued again.
func (s *store) replace(ctx context.Context, e Letter, payload []byte) (done bool, err error) {
	info, err := s.inspector.GetTaskInfo(queues.DeadLetter, e.ID)
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
		if err = s.inspector.UpdateTaskPayload(queues.DeadLetter, e.ID, payload); err == nil {
			return true, nil
		}
	default:
		err = s.inspector.DeleteTask(queues.DeadLetter, e.ID)
	}
	if queues.IsGone(err) || queues.HasMoved(err) {
		err = nil
	}
	return false, err
}

// deleteTasks deletes letters, waiting for a handler that holds one.
func (s *store) deleteTasks(ctx context.Context, ids []string) error {
	return parallel.Each(ctx, parallel.Commands, ids, func(ctx context.Context, id string) error {
		for range putTries {
			err := s.inspector.DeleteTask(queues.DeadLetter, id)
			if err == nil || queues.IsGone(err) {
				return nil
			}
			if !queues.HasMoved(err) { // else it is being redriven, or was a moment ago
				return err
			}
			if err := pause(ctx, putPause); err != nil {
				return err
			}
		}
		return ErrBusy
	})
}

// asynq's keys of the queue, by what they hold: a sorted set or a list of task IDs. A letter
// rests in scheduled; "run" in the web UI moves it on, in the order of these. They are read
// directly because asynq's own listing pages by position, and would miss letters whenever
// others go.
var (
	restingKeys = []string{queueKey("scheduled")}
	runningKeys = []string{queueKey("pending"), queueKey("active")}
	stuckKeys   = []string{queueKey("retry"), queueKey("archived")}
)

func queueKey(state string) string { return queues.Key(queues.DeadLetter, state) }

// chunkSize bounds the letters that are read, redriven or discarded at a time.
const chunkSize = 1000

// chunks yields the letters that pass f, in chunks of 1 to chunkSize. The IDs are all read
// first, 6 MB for 100,000, so that the loop's body may delete letters; the letters are read
// chunk by chunk.
func (s *store) chunks(ctx context.Context, f Filter) iter.Seq2[[]Letter, error] {
	return func(yield func([]Letter, error) bool) {
		w := widening{store: s, users: f.Users, on: map[string][]user.ID{}}
		all := f
		if f.PhoneNumberID != "" {
			all = w.filter(ctx, f, f.PhoneNumberID)
		}
		ids, err := s.ids(ctx, all)
		if err == nil {
			err = w.err
		}
		if err != nil {
			yield(nil, fmt.Errorf("tasks: read dead letters: %w", err))
			return
		}
		behind, _ := slices.BinarySearch(ids, f.After) // only the letter itself is left for match
		for chunk := range slices.Chunk(ids[behind:], chunkSize) {
			letters, err := s.fetchAll(ctx, chunk)
			if err == nil {
				letters = slices.DeleteFunc(letters, func(e Letter) bool { return !w.filter(ctx, f, e.PhoneNumberID).match(e) })
				err = w.err
			}
			if err != nil {
				yield(nil, fmt.Errorf("tasks: read dead letters: %w", err))
				return
			}
			if len(letters) > 0 && !yield(letters, nil) {
				return
			}
		}
	}
}

// widening widens a filter's users to all names of their persons, which each phone number ID has of its own: a
// letter stands under the name by which its user was asked for.
type widening struct {
	store *store
	users []user.ID
	on    map[string][]user.ID // by phone number ID
	err   error                // the first one
}

// filter returns f as it is for letters of a phone number ID, "" for those of none.
func (w *widening) filter(ctx context.Context, f Filter, phoneNumberID string) Filter {
	if len(w.users) == 0 || phoneNumberID == "" || w.err != nil {
		return f
	}
	all, known := w.on[phoneNumberID]
	if !known {
		all = slices.Clone(w.users)
		for chunk := range slices.Chunk(w.users, ledger.MaxBatch) {
			var names [][]user.ID
			if names, w.err = ledger.New(w.store.rdb, phoneNumberID).NamesOf(ctx, chunk); w.err != nil {
				return f
			}
			all = append(all, slices.Concat(names...)...)
		}
		w.on[phoneNumberID] = all
	}
	f.Users = all
	return f
}

// fetchAll returns those of the letters that exist.
func (s *store) fetchAll(ctx context.Context, ids []string) ([]Letter, error) {
	found := make([]*Letter, len(ids))
	err := parallel.Each(ctx, parallel.Commands, parallel.UpTo(0, len(ids)), func(_ context.Context, i int) (err error) {
		found[i], err = s.fetch(ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	letters := make([]Letter, 0, len(found))
	for _, e := range found {
		if e != nil {
			letters = append(letters, *e)
		}
	}
	return letters, nil
}

// ids returns the task IDs that may pass f, each once, those of a phone number ID together.
func (s *store) ids(ctx context.Context, f Filter) ([]string, error) {
	if len(f.IDs) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(f.IDs))), nil
	}
	if f.PhoneNumberID != "" && len(f.Users) > 0 {
		h, err := readHasher(ctx, s.rdb)
		if err != nil {
			return nil, err
		}
		ids := h.users(f.PhoneNumberID, f.Users)
		slices.Sort(ids)
		return slices.Compact(ids), nil
	}
	match := "*"
	if queues.CheckPhoneNumberID(f.PhoneNumberID) == nil { // digits alone: nothing that a pattern reads
		match = f.PhoneNumberID + ":*"
	}
	var ids []string
	for _, key := range slices.Concat(restingKeys, runningKeys, stuckKeys) {
		read := s.scanSet
		if slices.Contains(runningKeys, key) {
			read = s.readList
		}
		found, err := read(ctx, key, match)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil // Redis may scan one twice, or it moved meanwhile
}

func (s *store) scanSet(ctx context.Context, key, match string) ([]string, error) {
	var ids []string
	for cursor := uint64(0); ; {
		// Members and scores by turns.
		pairs, next, err := s.rdb.ZScan(ctx, key, cursor, match, chunkSize).Result()
		if err != nil {
			return nil, err
		}
		for i := 0; i < len(pairs); i += 2 {
			ids = append(ids, pairs[i])
		}
		if next == 0 {
			return ids, nil
		}
		cursor = next
	}
}

// readList reads a list of IDs, whatever match: lists can't be searched, and are short but for
// minutes after an operator ran the whole queue.
func (s *store) readList(ctx context.Context, key, _ string) ([]string, error) {
	return s.rdb.LRange(ctx, key, 0, -1).Result()
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

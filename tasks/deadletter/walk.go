package deadletter

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/queues"
)

// asynq's keys of the queue, by what they hold: a sorted set or a list of task IDs. An entry
// rests in scheduled; "run" in the web UI moves it on, in the order of these. They are read
// directly because asynq's own listing pages by position, and would miss entries whenever
// others go.
var (
	restingKeys = []string{queueKey("scheduled")}
	runningKeys = []string{queueKey("pending"), queueKey("active")}
	stuckKeys   = []string{queueKey("retry"), queueKey("archived")}
)

func queueKey(state string) string { return queues.Key(queues.DeadLetter, state) }

// chunkSize is how many entries are read, redriven or discarded at a time.
const chunkSize = 1000

// chunks yields the entries that pass f, in chunks of 1 to chunkSize. The IDs are all read
// first, 6 MB for 100,000, so that the loop's body may delete entries; the entries are read
// chunk by chunk.
func (d *Queue) chunks(ctx context.Context, f Filter) iter.Seq2[[]Letter, error] {
	return func(yield func([]Letter, error) bool) {
		ids, err := d.ids(ctx, f)
		if err != nil {
			yield(nil, fmt.Errorf("tasks: read dead letters: %w", err))
			return
		}
		for chunk := range slices.Chunk(ids, chunkSize) {
			entries, err := d.fetchAll(ctx, chunk)
			if err != nil {
				yield(nil, fmt.Errorf("tasks: read dead letters: %w", err))
				return
			}
			entries = slices.DeleteFunc(entries, func(e Letter) bool { return !f.match(e) })
			if len(entries) > 0 && !yield(entries, nil) {
				return
			}
		}
	}
}

// fetchAll returns those of the entries that exist.
func (d *Queue) fetchAll(ctx context.Context, ids []string) ([]Letter, error) {
	found := make([]*Letter, len(ids))
	err := parallel.Each(ctx, parallel.UpTo(0, len(ids)), func(_ context.Context, i int) (err error) {
		found[i], err = d.fetch(ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]Letter, 0, len(found))
	for _, e := range found {
		if e != nil {
			entries = append(entries, *e)
		}
	}
	return entries, nil
}

// ids returns the task IDs that may pass f, each once, those of a phone number ID together.
func (d *Queue) ids(ctx context.Context, f Filter) ([]string, error) {
	if len(f.IDs) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(f.IDs))), nil
	}
	if f.PhoneNumberID != "" && len(f.Users) > 0 {
		h, err := d.hasher(ctx)
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
		read := d.scanSet
		if slices.Contains(runningKeys, key) {
			read = d.readList
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

func (d *Queue) scanSet(ctx context.Context, key, match string) ([]string, error) {
	var ids []string
	for cursor := uint64(0); ; {
		// Members and scores by turns.
		pairs, next, err := d.rdb.ZScan(ctx, key, cursor, match, chunkSize).Result()
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
// minutes after somebody ran the whole queue.
func (d *Queue) readList(ctx context.Context, key, _ string) ([]string, error) {
	return d.rdb.LRange(ctx, key, 0, -1).Result()
}

// Len returns how many entries there are.
func (d *Queue) Len(ctx context.Context) (int, error) {
	pipe := d.rdb.Pipeline()
	var counts []*redis.IntCmd
	for _, key := range slices.Concat(restingKeys, stuckKeys) {
		counts = append(counts, pipe.ZCard(ctx, key))
	}
	for _, key := range runningKeys {
		counts = append(counts, pipe.LLen(ctx, key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("tasks: count dead letters: %w", err)
	}
	n := 0
	for _, c := range counts {
		n += int(c.Val())
	}
	return n, nil
}

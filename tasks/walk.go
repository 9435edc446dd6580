package tasks

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"
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

func queueKey(state string) string { return "asynq:{" + QueueDeadLetter + "}:" + state }

// chunkSize is how many entries are read, redriven or discarded at a time.
const chunkSize = 1000

// chunks yields the entries that pass f, in chunks of 1 to chunkSize.
func (d *DeadLetters) chunks(ctx context.Context, f Filter) iter.Seq2[[]DeadLetter, error] {
	return func(yield func([]DeadLetter, error) bool) {
		for ids, err := range d.idChunks(ctx, f) {
			var entries []DeadLetter
			if err == nil {
				entries, err = d.fetchAll(ctx, ids)
			}
			if err != nil {
				yield(nil, fmt.Errorf("tasks: read dead letters: %w", err))
				return
			}
			entries = slices.DeleteFunc(entries, func(e DeadLetter) bool { return !f.match(e) })
			if len(entries) > 0 && !yield(entries, nil) {
				return
			}
		}
	}
}

// fetchAll returns those of the entries that exist.
func (d *DeadLetters) fetchAll(ctx context.Context, ids []string) ([]DeadLetter, error) {
	found := make([]*DeadLetter, len(ids))
	err := each(ctx, upTo(0, len(ids)), func(_ context.Context, i int) (err error) {
		found[i], err = d.fetch(ids[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]DeadLetter, 0, len(found))
	for _, e := range found {
		if e != nil {
			entries = append(entries, *e)
		}
	}
	return entries, nil
}

// idChunks yields the task IDs that may pass f, each once, at most chunkSize at a time.
func (d *DeadLetters) idChunks(ctx context.Context, f Filter) iter.Seq2[[]string, error] {
	if f.PhoneNumberID != "" && len(f.Users) > 0 {
		return d.idsOf(ctx, f)
	}
	match := "*"
	if CheckPhoneNumberID(f.PhoneNumberID) == nil { // digits alone: nothing that a pattern reads
		match = f.PhoneNumberID + ":*"
	}
	return func(yield func([]string, error) bool) {
		seen := make(map[string]struct{})
		for ids, err := range d.scan(ctx, match) {
			if err != nil {
				yield(nil, err)
				return
			}
			ids = slices.DeleteFunc(ids, func(id string) bool {
				_, again := seen[id]
				seen[id] = struct{}{}
				return again
			})
			for chunk := range slices.Chunk(ids, chunkSize) {
				if !yield(chunk, nil) {
					return
				}
			}
		}
	}
}

// idsOf yields the task IDs of the users that f names.
func (d *DeadLetters) idsOf(ctx context.Context, f Filter) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		h, err := d.hasher(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		users, err := distinct(f.Users)
		if err != nil {
			yield(nil, err)
			return
		}
		for chunk := range slices.Chunk(users, chunkSize) {
			ids := make([]string, len(chunk))
			for i, u := range chunk {
				ids[i] = h.user(f.PhoneNumberID, u)
			}
			if !yield(ids, nil) {
				return
			}
		}
	}
}

// scan yields the task IDs of the queue in all states, some perhaps twice.
func (d *DeadLetters) scan(ctx context.Context, match string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, key := range slices.Concat(restingKeys, runningKeys, stuckKeys) {
			read := d.scanSet
			if slices.Contains(runningKeys, key) {
				read = d.readList
			}
			for ids, err := range read(ctx, key, match) {
				if !yield(ids, err) || err != nil {
					return
				}
			}
		}
	}
}

func (d *DeadLetters) scanSet(ctx context.Context, key, match string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var cursor uint64
		for {
			// Members and scores by turns.
			pairs, next, err := d.rdb.ZScan(ctx, key, cursor, match, chunkSize).Result()
			ids := make([]string, 0, len(pairs)/2)
			for i := 0; i < len(pairs); i += 2 {
				ids = append(ids, pairs[i])
			}
			if !yield(ids, err) || err != nil || next == 0 {
				return
			}
			cursor = next
		}
	}
}

// readList reads a list of IDs, whatever match: lists can't be searched, and are short but for
// minutes after somebody ran the whole queue.
func (d *DeadLetters) readList(ctx context.Context, key, _ string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		yield(d.rdb.LRange(ctx, key, 0, -1).Result())
	}
}

// Len returns how many entries there are.
func (d *DeadLetters) Len(ctx context.Context) (int, error) {
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

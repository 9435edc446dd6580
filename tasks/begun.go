package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/internal/parallel"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// What Redis holds of an earlier attempt at a job: a key of its own, and its tasks.

// begun is the record of a job of several parts that Redis keeps beside its tasks.
type begun struct {
	Version  ledger.Version `json:"version"`
	Delayed  bool           `json:"delayed,omitempty"`
	Due      int64          `json:"due,omitempty"`  // of a delayed one, in µs
	Ends     int64          `json:"ends,omitempty"` // of a timed block, in ms
	Text     string         `json:"text,omitempty"`
	Counted  bool           `json:"counted,omitempty"`
	Queue    ledger.Queue   `json:"queue"`
	Parts    int            `json:"parts"`
	Request  string         `json:"request"`            // see digest
	Enqueued bool           `json:"enqueued,omitempty"` // all parts were: from now on the tasks tell whether the job has ended
}

// begunFor is the time that the key stays after the last attempt.
const begunFor = 7 * 24 * time.Hour

func begunKey(jobID string) string { return "wablock:job:" + jobID }

// readBegun returns what is kept of a job, nil for nothing.
func readBegun(ctx context.Context, rdb redis.UniversalClient, jobID string) (*begun, error) {
	text, err := rdb.Get(ctx, begunKey(jobID)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // the comment says so
	}
	if err != nil {
		return nil, err
	}
	b := new(begun)
	if json.Unmarshal(text, b) != nil || b.Version <= 0 || !b.Queue.Valid() || b.Parts < 1 || b.Parts > queues.MaxParts {
		return nil, nil //nolint:nilnil // written by another program: the tasks have to tell
	}
	return b, nil
}

// findPart returns the payload of one of the first parts of a job, and the queue that it is in;
// nil when none of them is in Redis.
func findPart(ctx context.Context, p *Producer, jobID string, parts int) (*queues.Payload, ledger.Queue, error) {
	for chunk := range slices.Chunk(parallel.UpTo(0, parts), 1000) {
		pipe := p.rdb.Pipeline()
		there := make(map[ledger.Queue][]*redis.IntCmd, len(ledger.Queues()))
		for _, q := range ledger.Queues() {
			for _, n := range chunk {
				there[q] = append(there[q], pipe.Exists(ctx, queues.Key(string(q), "t:"+queues.TaskID(jobID, n))))
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, "", err
		}
		for _, q := range ledger.Queues() {
			for i, cmd := range there[q] {
				if cmd.Val() == 0 {
					continue
				}
				found, err := lookup(p, q, queues.TaskID(jobID, chunk[i]))
				if err != nil || found != nil {
					return found, q, err
				}
			}
		}
	}
	return nil, "", nil
}

// lookup returns the payload of a task, nil when there is no such task.
func lookup(p *Producer, q ledger.Queue, id string) (*queues.Payload, error) {
	info, err := p.inspector.GetTaskInfo(string(q), id)
	if queues.IsGone(err) {
		return nil, nil //nolint:nilnil // the comment says so
	}
	if err != nil {
		return nil, err
	}
	found, err := queues.Decode(info.Type, info.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJobConflict, err)
	}
	return &found, nil
}

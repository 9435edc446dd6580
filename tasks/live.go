package tasks

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/ledger"
)

// liveKeys are asynq's keys of tasks that have not ended, in the order in which tasks go from
// one to the next: who moves on while they are read is met again, not missed. An active task
// may go back, so where it goes is read once more.
var liveKeys = []string{"scheduled", "retry", "pending", "active", "retry", "pending"}

// Live yields the tasks of a phone number ID that have not ended, some perhaps twice. A task
// that is there from beginning to end comes; one that comes or ends meanwhile may. It reads
// every task of the three queues of work, a fraction of a millisecond each. An error is the
// last thing that comes.
func (p *Producer) Live(ctx context.Context, phoneNumberID string) iter.Seq2[Payload, error] {
	return func(yield func(Payload, error) bool) {
		for _, q := range ledger.Queues() {
			ids, err := p.liveIDs(ctx, q)
			if err != nil {
				yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
				return
			}
			for chunk := range slices.Chunk(ids, chunkSize) {
				found, err := p.livePayloads(ctx, q, chunk)
				if err != nil {
					yield(Payload{}, fmt.Errorf("tasks: read tasks: %w", err))
					return
				}
				for _, f := range found {
					if f != nil && f.PhoneNumberID == phoneNumberID && !yield(*f, nil) {
						return
					}
				}
			}
		}
	}
}

func (p *Producer) liveIDs(ctx context.Context, q ledger.Queue) ([]string, error) {
	var ids []string
	prefix := "asynq:{" + string(q) + "}:"
	for _, state := range liveKeys {
		var found []string
		var err error
		if state == "scheduled" || state == "retry" {
			found, err = p.rdb.ZRange(ctx, prefix+state, 0, -1).Result()
		} else {
			found, err = p.rdb.LRange(ctx, prefix+state, 0, -1).Result()
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// livePayloads reads tasks; those that have ended, or can't be read, are nil.
func (p *Producer) livePayloads(ctx context.Context, q ledger.Queue, ids []string) ([]*Payload, error) {
	found := make([]*Payload, len(ids))
	err := each(ctx, upTo(0, len(ids)), func(_ context.Context, i int) error {
		info, err := p.inspector.GetTaskInfo(string(q), ids[i])
		if isGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived {
			return nil
		}
		if payload, err := Decode(info.Type, info.Payload); err == nil {
			found[i] = &payload
		}
		return nil
	})
	return found, err
}

package reconcile

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// kind distinguishes slots by what they run.
type kind string

const (
	kindRun  kind = "reconcile" // a run, and the housekeeping after it
	kindKeep kind = "keep"      // housekeeping alone, where no schedule is configured
)

// taskFormat is the version of the payload's format.
const taskFormat = 1

// slotPayload is the payload of a task of queues.TypeReconcile.
type slotPayload struct {
	Format        int    `json:"v"`
	PhoneNumberID string `json:"phone_number_id"`
	Kind          kind   `json:"kind"`
	Slot          int64  `json:"slot"` // Unix seconds
}

func (p slotPayload) time() time.Time { return time.Unix(p.Slot, 0).UTC() }

// slotRetention is the time that a slot's task is kept after its end, and its ID taken: longer than
// the clocks of workers differ. The ledger of done slots keeps it from running again even
// then.
const slotRetention = 24 * time.Hour

// task returns the asynq task of a slot. Its ID is the slot's, so that it exists once however
// many workers enqueue it.
func (p slotPayload) task() (*asynq.Task, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("reconcile: encode a slot: %w", err)
	}
	id := fmt.Sprintf("%s:%s:%s", p.Kind, p.PhoneNumberID, p.time().Format(time.RFC3339))
	return asynq.NewTask(queues.TypeReconcile, b, asynq.TaskID(id), asynq.Queue(string(ledger.Reconcile)),
		asynq.MaxRetry(queues.MaxRetry), asynq.Timeout(queues.TaskTimeout), asynq.Retention(slotRetention)), nil
}

// decodeSlot reads a task. The error wraps queues.ErrMalformed.
func decodeSlot(t *asynq.Task) (slotPayload, error) {
	var p slotPayload
	if json.Unmarshal(t.Payload(), &p) != nil {
		return p, fmt.Errorf("reconcile: %w: the payload is not the JSON of a slot", queues.ErrMalformed)
	}
	if p.Format > taskFormat {
		return p, fmt.Errorf("reconcile: %w: the payload has format %d, and this worker knows up to %d", queues.ErrMalformed, p.Format, taskFormat)
	}
	if p.Format < 1 || p.Slot <= 0 || p.Kind != kindRun && p.Kind != kindKeep || queues.CheckPhoneNumberID(p.PhoneNumberID) != nil {
		return p, fmt.Errorf("reconcile: %w: the payload is not that of a slot", queues.ErrMalformed)
	}
	return p, nil
}

func slotKey(phoneNumberID string, k kind) string { return key(phoneNumberID, keySlot+":"+string(k)) }

func doneKey(phoneNumberID string, k kind) string { return key(phoneNumberID, keyDone+":"+string(k)) }

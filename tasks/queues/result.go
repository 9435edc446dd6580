package queues

import (
	"encoding/json"
	"fmt"
)

// Result is written by a worker with asynq's ResultWriter when a task has ended: how many of
// its users ended in which way.
type Result struct {
	Succeeded    int `json:"succeeded"`
	DeadLettered int `json:"dead_lettered"`
	Superseded   int `json:"superseded"`
	Canceled     int `json:"canceled,omitempty"`
	// Codes counts the dead-lettered users by the API's error code.
	Codes map[int]int `json:"codes,omitempty"`
}

// Encode returns the JSON that [DecodeResult] reads.
func (r Result) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("tasks: encode result: %w", err)
	}
	return b, nil
}

// DecodeResult reads the result of a task. The error wraps [ErrMalformed].
func DecodeResult(b []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return Result{}, Malformed("a result that is not JSON of its kind")
	}
	return r, nil
}

// Add counts o into r.
func (r *Result) Add(o Result) {
	r.Succeeded += o.Succeeded
	r.DeadLettered += o.DeadLettered
	r.Superseded += o.Superseded
	r.Canceled += o.Canceled
	for code, n := range o.Codes {
		if r.Codes == nil {
			r.Codes = make(map[int]int, len(o.Codes))
		}
		r.Codes[code] += n
	}
}

package reply

import (
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
)

// Job is the answer of block, unblock and redrive.
type Job struct {
	JobID         string            `json:"job_id,omitempty"`
	Operation     ledger.Operation  `json:"operation"`
	PhoneNumberID string            `json:"phone_number_id"`
	Accepted      int               `json:"accepted"`
	Rejected      []tasks.Rejection `json:"rejected"`
	Tasks         int               `json:"tasks"`
	Queue         ledger.Queue      `json:"queue,omitempty"`
	// Column is the column of the file that the numbers were read from, and why that one.
	Column *numbers.Column `json:"column,omitempty"`
	*Settled
}

// Settled holds the fields that --wait adds.
type Settled struct {
	Succeeded    int `json:"succeeded"`
	DeadLettered int `json:"dead_lettered"`
	Superseded   int `json:"superseded"`
	Pending      int `json:"pending"`
}

// OfJob returns the answer about a job that was accepted.
func OfJob(j tasks.Job) Job {
	if j.Rejected == nil {
		j.Rejected = []tasks.Rejection{}
	}
	return Job{j.ID, j.Operation, j.PhoneNumberID, j.Accepted, j.Rejected, j.Tasks, j.Queue, nil, nil}
}

// OfProgress returns what has become of a job's users.
func OfProgress(p tasks.Progress) *Settled {
	return &Settled{p.Succeeded, p.DeadLettered, p.Superseded, p.Pending}
}

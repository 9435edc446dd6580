package main

import (
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	numberfile "github.com/wablock/wablock/tasks/numbers"
)

// jobJSON is the answer of block, unblock and redrive.
type jobJSON struct {
	JobID         string            `json:"job_id,omitempty"`
	Operation     ledger.Operation  `json:"operation"`
	PhoneNumberID string            `json:"phone_number_id"`
	Accepted      int               `json:"accepted"`
	Rejected      []tasks.Rejection `json:"rejected"`
	Tasks         int               `json:"tasks"`
	Queue         ledger.Queue      `json:"queue,omitempty"`
	// Column is the column of the file that the numbers were read from, and why that one.
	Column *numberfile.Column `json:"column,omitempty"`
	*settledJSON
}

// settledJSON holds the fields that --wait adds.
type settledJSON struct {
	Succeeded    int `json:"succeeded"`
	DeadLettered int `json:"dead_lettered"`
	Superseded   int `json:"superseded"`
	Pending      int `json:"pending"`
}

func jobAnswer(j tasks.Job) jobJSON {
	if j.Rejected == nil {
		j.Rejected = []tasks.Rejection{}
	}
	return jobJSON{j.ID, j.Operation, j.PhoneNumberID, j.Accepted, j.Rejected, j.Tasks, j.Queue, nil, nil}
}

func (j *jobJSON) settle(p tasks.Progress) {
	j.settledJSON = &settledJSON{p.Succeeded, p.DeadLettered, p.Superseded, p.Pending}
}

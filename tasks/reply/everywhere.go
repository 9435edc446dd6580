package reply

import (
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/numbers"
)

// Everywhere holds the answer of a block on every configured phone number ID.
type Everywhere struct {
	// JobID begins the IDs of the jobs, and repeats the request.
	JobID      string           `json:"job_id"`
	Operation  ledger.Operation `json:"operation"`
	Everywhere bool             `json:"everywhere"`
	// Accepted counts users, each once, that were accepted on some phone number ID.
	Accepted int `json:"accepted"`
	// Rejected are the inputs that name no user; protected users are in their jobs.
	Rejected []tasks.Rejection `json:"rejected"`
	Tasks    int               `json:"tasks"`
	// Jobs has one for each phone number ID.
	Jobs   []Job           `json:"jobs"`
	Column *numbers.Column `json:"column,omitempty"`
	*Settled
	// Window counts users, once for each phone number ID, that wait until they write; with --wait.
	Window *int `json:"window,omitempty"`
}

// OfEverywhere returns the answer about jobs that [tasks.Producer.Everywhere] made.
func OfEverywhere(jobID string, jobs []tasks.Job, rejected []tasks.Rejection) Everywhere {
	e := Everywhere{JobID: jobID, Operation: ledger.Block, Everywhere: true, Rejected: rejected, Jobs: make([]Job, len(jobs))}
	if rejected == nil {
		e.Rejected = []tasks.Rejection{}
	}
	users := make(map[string]struct{})
	for i, j := range jobs {
		e.Jobs[i] = OfJob(j)
		e.Tasks += j.Tasks
		for _, u := range j.Users[:min(j.Accepted, len(j.Users))] {
			users[u.Reveal()] = struct{}{}
		}
	}
	e.Accepted = len(users)
	return e
}

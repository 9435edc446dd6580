package tasks

import (
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Job is a request that was accepted.
type Job struct {
	ID            string
	Operation     Operation
	PhoneNumberID string
	Queue         Queue
	// Version orders the job in the ledger.
	Version ledger.Version
	// Users are those accepted, each once, in the order given.
	Users []user.ID
	// Accepted is the number of Users.
	Accepted int
	// Rejected are the inputs that name no user; they are in no task.
	Rejected []Rejection
	// Tasks counts the asynq tasks that the job was cut into.
	Tasks int
	// Repeated says that a request with this job ID was accepted before, and this one is the same job.
	Repeated bool
}

package reply

import (
	"time"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
)

// DeadLetter is the answer of `dead-letter list` for one entry.
type DeadLetter struct {
	User          string           `json:"user,omitempty"`
	PhoneNumberID string           `json:"phone_number_id,omitempty"`
	Operation     ledger.Operation `json:"operation,omitempty"`
	*Failure
	FirstFailedAt time.Time      `json:"first_failed_at,omitzero"`
	LastFailedAt  time.Time      `json:"last_failed_at,omitzero"`
	Version       ledger.Version `json:"version,omitempty"`
	ID            string         `json:"id,omitempty"` // of the task in the queue
	*Malformed
	// What redrive --dry-run would do.
	Action deadletter.Action `json:"action,omitempty"`
}

// Failure holds the API's answer about a number. Where it gave none, or no code, the
// fields are present all the same.
type Failure struct {
	Code      int    `json:"code"`
	Message   string `json:"message"`
	Details   string `json:"details"`
	FBTraceID string `json:"fbtrace_id"`
	Attempts  int    `json:"attempts"`
}

// Malformed holds the fields of an entry that is a task that could not be read.
type Malformed struct {
	Reason   string `json:"reason"`
	TaskType string `json:"task_type,omitempty"`
	Queue    string `json:"queue,omitempty"`
	TaskID   string `json:"task_id,omitempty"`
	Size     int    `json:"payload_size"`
	SHA256   string `json:"payload_sha256,omitempty"`
}

// OfLetter returns the answer about an entry.
func OfLetter(d deadletter.Letter) DeadLetter {
	j := DeadLetter{
		User: d.User.Reveal(), PhoneNumberID: d.PhoneNumberID, Operation: d.Operation, FirstFailedAt: d.FirstFailedAt.UTC(), LastFailedAt: d.LastFailedAt.UTC(),
		Version: d.Version, ID: d.ID,
	}
	if m := d.Malformed; m != nil {
		j.Malformed = &Malformed{m.Reason, m.Type, m.Queue, m.TaskID, m.Size, m.SHA256}
	} else {
		j.Failure = &Failure{d.Code, d.Message, d.Details, d.FBTraceID, d.Attempts}
	}
	return j
}

// Redrive is the answer of `dead-letter redrive`. A dry run adds the entries.
type Redrive struct {
	Redriven int `json:"redriven"`
	Obsolete int `json:"obsolete"`
	Refused  int `json:"refused"`
	// Protected entries would block users who must not be, and stay.
	Protected int   `json:"protected"`
	DryRun    bool  `json:"dry_run"`
	Jobs      []Job `json:"jobs"`
	*Settled
}

// OfRedrive returns the answer about what was redriven.
func OfRedrive(r deadletter.RedriveReport, dryRun bool) Redrive {
	out := Redrive{Redriven: r.Redriven, Obsolete: r.Obsolete, Refused: r.Refused, Protected: r.Protected, DryRun: dryRun, Jobs: []Job{}}
	for _, j := range r.Jobs {
		out.Jobs = append(out.Jobs, OfJob(j))
	}
	return out
}

// Discard is the answer of `dead-letter discard`. A dry run adds the entries.
type Discard struct {
	Discarded int  `json:"discarded"`
	DryRun    bool `json:"dry_run"`
}

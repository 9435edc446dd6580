package tasks

import (
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// payloadFormat is the version of the payload's format. A field that older programs may pass
// over leaves it as it is; everything else raises it, and older workers put such tasks among
// the dead letters, from where they can be redriven after an upgrade.
const payloadFormat = 1

// maxPayload bounds what Decode reads: 1,000 of the longest users come to 140 KB.
const maxPayload = 1 << 20

// maxVersion is the last that Redis's scripts, which count in doubles, can tell from the next;
// it is of the year 2255. A user marked at one far ahead could never be asked for again.
const maxVersion = 1 << 53

// maxParts bounds what readers of a job set out to read.
const maxParts = 1 << 17

// Payload is what a task of TypeBlock or TypeUnblock carries: one chunk of a job.
type Payload struct {
	JobID         string
	PhoneNumberID string
	Operation     ledger.Operation // from the task's type
	Version       ledger.Version
	Users         []user.ID // 1 to MaxUsersPerTask
	Part, Parts   int       // which chunk of the job, from 0, of how many
	RequestedAt   time.Time // UTC, in microseconds
	// Delayed says that the job was put off, and Version is of the time when it is due: before
	// that nobody may mark it in the ledger, or else it would win over what is asked for until
	// then. Without it a version may lie ahead of the clock all the same, after Redis's was set
	// back for example, and is to be marked at once.
	Delayed bool
}

// DueIn returns for how long p must not be marked in the ledger yet, 0 for no longer. now is the
// version that a request would get that is made now, and must not lose to p.
func (p Payload) DueIn(now ledger.Version) time.Duration {
	if !p.Delayed {
		return 0
	}
	return max(0, p.Version.Time().Sub(now.Time()))
}

// TaskID returns the ID of the payload's task.
func (p Payload) TaskID() string { return taskID(p.JobID, p.Part) }

func taskID(jobID string, part int) string { return jobID + ":" + strconv.Itoa(part) }

// Task returns the asynq task that carries p. Queue, time and retention are the enqueuer's.
func (p Payload) Task() (*asynq.Task, error) {
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(TypeOf(p.Operation), b, taskOptions(p.TaskID())...), nil
}

// Encode returns the payload's JSON, in which the users stand in clear. It is an error if p is
// nothing that [Decode] would take.
func (p Payload) Encode() ([]byte, error) {
	if reason := p.fault(); reason != "" {
		return nil, fmt.Errorf("tasks: encode: %s", reason)
	}
	// No string below needs escaping: fault has seen that they are digits, letters, ".-_+".
	b := make([]byte, 0, 256+20*len(p.Users))
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, payloadFormat, 10)
	b = append(b, `,"job_id":"`...)
	b = append(b, p.JobID...)
	b = append(b, `","phone_number_id":"`...)
	b = append(b, p.PhoneNumberID...)
	b = append(b, `","version":`...)
	b = strconv.AppendInt(b, int64(p.Version), 10)
	b = append(b, `,"part":`...)
	b = strconv.AppendInt(b, int64(p.Part), 10)
	b = append(b, `,"parts":`...)
	b = strconv.AppendInt(b, int64(p.Parts), 10)
	b = append(b, `,"requested_at":"`...)
	b = p.RequestedAt.UTC().Truncate(time.Microsecond).AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if p.Delayed {
		b = append(b, `,"delayed":true`...)
	}
	b = append(b, `,"users":[`...)
	for i, u := range p.Users {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, u.Reveal()...)
		b = append(b, '"')
	}
	return append(b, ']', '}'), nil
}

// fault says what is wrong with p, "" for nothing.
func (p Payload) fault() string {
	switch {
	case !p.Operation.Valid():
		return "an operation that is neither block nor unblock"
	case p.Version <= 0:
		return "no version"
	case p.Version > maxVersion:
		return "a version that is out of range"
	case p.Parts < 1 || p.Parts > maxParts || p.Part < 0 || p.Part >= p.Parts:
		return "a part that is not among its parts, or too many parts"
	case len(p.Users) == 0:
		return "no users"
	case len(p.Users) > MaxUsersPerTask:
		return strconv.Itoa(len(p.Users)) + " users, where a task has at most " + strconv.Itoa(MaxUsersPerTask)
	case p.RequestedAt.Year() < 1 || p.RequestedAt.Year() > 9999:
		return "a time of request that is out of range"
	}
	if err := CheckJobID(p.JobID); err != nil {
		return err.Error()
	}
	if err := CheckPhoneNumberID(p.PhoneNumberID); err != nil {
		return err.Error()
	}
	for _, u := range p.Users {
		if u.IsZero() {
			return "a user that is nobody"
		}
	}
	return ""
}

package queues

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// Format is the version of the payload's format. A field that older programs may pass
// over leaves it as it is; everything else raises it, and older workers put such tasks among
// the dead letters, from where they can be redriven after an upgrade.
const Format = 1

// MaxPayload bounds what Decode reads: 1,000 of the longest users come to 140 KB.
const MaxPayload = 1 << 20

// maxVersion is the last that Redis's scripts, which count in doubles, can tell from the next;
// it is of the year 2255. A user marked at one far ahead could never be asked for again.
const maxVersion = 1 << 53

// MaxParts bounds what readers of a job set out to read.
const MaxParts = 1 << 17

// Payload is the content of a task of TypeBlock or TypeUnblock: one chunk of a job.
type Payload struct {
	JobID         string
	PhoneNumberID string
	Operation     ledger.Operation // from the task's type
	Version       ledger.Version
	Users         []user.ID // 1 to MaxUsersPerTask
	Part, Parts   int       // which chunk of the job, from 0, of how many
	RequestedAt   time.Time // UTC, in microseconds
	// Delayed says that the job was put off: before it is due it must not be marked in the ledger. Without
	// it a version may lie ahead of the clock all the same, after Redis's was set back for example,
	// and is to be marked at once.
	Delayed bool
	// Due is the time until which the job was put off. It is zero in payloads of an older format of delays,
	// whose Version is of the time when they are due.
	Due time.Time
	// Counted says that the job is registered in the ledger at Version, where its users are counted.
	// Text is the digest of who asked and why, "" for none.
	Counted bool
	Text    string
	// Ends is the time at which a timed block ends by itself, zero for never.
	Ends time.Time
	// Traceparent names the span of the request, "" where none was recorded (W3C Trace Context). One that is
	// malformed links nothing.
	Traceparent string
}

// Job returns what the payload has of its job for the ledger, with its part.
func (p Payload) Job() ledger.JobRef {
	job := ledger.JobRef{Counted: p.Counted, ID: p.JobID, Text: p.Text, Part: p.Part + 1}
	if !p.Ends.IsZero() {
		job.Ends = p.Ends.UnixMilli()
	}
	return job
}

// Plan returns what status shows of a delayed payload until it is marked.
func (p Payload) Plan() ledger.Planned {
	return ledger.Planned{Version: p.Version, Operation: p.Operation, Due: p.DueAt()}
}

// DueAt returns when a delayed payload is due.
func (p Payload) DueAt() time.Time {
	if p.Due.IsZero() {
		return p.Version.Time()
	}
	return p.Due
}

// DueIn returns for how long p must not be marked in the ledger yet, 0 for no longer. now is the
// version that a request would get that is made now, and must not lose to p.
func (p Payload) DueIn(now ledger.Version) time.Duration {
	if !p.Delayed {
		return 0
	}
	return max(0, p.DueAt().Sub(now.Time()))
}

// maxAhead is the time by which a version may lie ahead of the next one: after a failover that lost the last ones while the
// clock was set back, it is not to be told from one that was made up. mark.lua catches up with such.
const maxAhead = time.Hour

// AheadOf reports whether p's version is one that Redis can't have given out by now, the time of its clock and of the
// last version. Marked, it would win over all that is asked for until its time.
func (p Payload) AheadOf(now time.Time) bool { return p.Version.Time().Sub(now) > maxAhead }

// TaskID returns the ID of the payload's task.
func (p Payload) TaskID() string { return TaskID(p.JobID, p.Part) }

// TaskID returns the ID of the task that carries a part of a job.
func TaskID(jobID string, part int) string { return jobID + ":" + strconv.Itoa(part) }

// Task returns the asynq task that carries p. Queue, time and retention are the enqueuer's.
func (p Payload) Task() (*asynq.Task, error) {
	b, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return asynq.NewTask(TypeOf(p.Operation), b, Options(p.TaskID())...), nil
}

// Encode returns the payload's JSON, in which the users stand in clear. It is an error if p is
// nothing that [Decode] would take.
func (p Payload) Encode() ([]byte, error) {
	if reason := p.fault(); reason != "" {
		return nil, fmt.Errorf("tasks: encode: %s", reason)
	}
	w := wirePayload{
		Format: Format, JobID: p.JobID, PhoneNumberID: p.PhoneNumberID, Version: int64(p.Version), Part: p.Part, Parts: p.Parts,
		RequestedAt: p.RequestedAt.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano), Delayed: p.Delayed, Counted: p.Counted, Text: p.Text, Traceparent: p.Traceparent,
		Users: make([]string, len(p.Users)),
	}
	if !p.Due.IsZero() {
		w.Due = p.Due.UnixMicro()
	}
	if !p.Ends.IsZero() {
		w.Ends = p.Ends.UnixMilli()
	}
	for i, u := range p.Users {
		w.Users[i] = u.Reveal()
	}
	return json.Marshal(w)
}

// fault returns the reason why p is invalid, "" for none.
func (p Payload) fault() string {
	switch {
	case !p.Operation.Valid():
		return "an operation that is neither block nor unblock"
	case p.Version <= 0:
		return "no version"
	case p.Version > maxVersion:
		return "a version that is out of range"
	case p.Parts < 1 || p.Parts > MaxParts || p.Part < 0 || p.Part >= p.Parts:
		return "a part that is not among its parts, or too many parts"
	case len(p.Users) == 0:
		return "no users"
	case len(p.Users) > MaxUsersPerTask:
		return strconv.Itoa(len(p.Users)) + " users, where a task has at most " + strconv.Itoa(MaxUsersPerTask)
	case p.Text != "" && !ledger.IsDigest(p.Text):
		return "a text that is not a digest"
	case !p.Due.IsZero() && (!p.Delayed || p.Due.UnixMicro() <= 0 || p.Due.UnixMicro() > maxVersion):
		return "a due time that is out of range, or of a job that is not delayed"
	case !p.Ends.IsZero() && (p.Operation != ledger.Block || !p.Counted || p.Ends.UnixMilli() <= 0 || p.Ends.UnixMicro() > maxVersion):
		return "an end that is out of range, or of a job that is not a block"
	case p.RequestedAt.Year() < 1 || p.RequestedAt.Year() > 9999:
		return "a time of request that is out of range"
	}
	if err := CheckJobID(p.JobID, p.Users...); err != nil {
		return err.Error()
	}
	if err := CheckPhoneNumberID(p.PhoneNumberID); err != nil {
		return err.Error()
	}
	for _, u := range p.Users {
		if u.IsZero() {
			return "a user without a name"
		}
	}
	return ""
}

// wirePayload is the JSON of a Payload.
type wirePayload struct {
	Format        int      `json:"v"`
	JobID         string   `json:"job_id"`
	PhoneNumberID string   `json:"phone_number_id"`
	Version       int64    `json:"version"`
	Part          int      `json:"part"`
	Parts         int      `json:"parts"`
	RequestedAt   string   `json:"requested_at"`
	Delayed       bool     `json:"delayed,omitempty"`
	Due           int64    `json:"due,omitempty"`  // in µs
	Ends          int64    `json:"ends,omitempty"` // in ms
	Counted       bool     `json:"counted,omitempty"`
	Text          string   `json:"text,omitempty"`
	Traceparent   string   `json:"traceparent,omitempty"`
	Users         []string `json:"users"`
}

// Decode reads a task of TypeBlock or TypeUnblock. The error wraps [ErrMalformed], says why,
// and holds nothing of the payload. Fields that it does not know are passed over.
func Decode(typ string, payload []byte) (Payload, error) {
	op, err := operationOf(typ)
	if err != nil {
		return Payload{}, err
	}
	var w wirePayload
	if err := Unmarshal(payload, MaxPayload, &w, &w.Format); err != nil {
		return Payload{}, err
	}
	p := Payload{
		JobID: w.JobID, PhoneNumberID: w.PhoneNumberID, Operation: op, Version: ledger.Version(w.Version),
		Part: w.Part, Parts: w.Parts, Delayed: w.Delayed, Counted: w.Counted, Text: w.Text, Traceparent: w.Traceparent, Users: make([]user.ID, 0, min(len(w.Users), MaxUsersPerTask)),
	}
	if p.RequestedAt, err = time.Parse(time.RFC3339Nano, w.RequestedAt); err != nil {
		return Payload{}, Malformed("requested_at is no RFC 3339 time")
	}
	p.RequestedAt = p.RequestedAt.UTC()
	if w.Due != 0 {
		p.Due = time.UnixMicro(w.Due).UTC()
	}
	if w.Ends != 0 {
		p.Ends = time.UnixMilli(w.Ends).UTC()
	}
	if len(w.Users) > MaxUsersPerTask {
		return Payload{}, Malformed("%d users, where a task has at most %d", len(w.Users), MaxUsersPerTask)
	}
	for i, s := range w.Users {
		id, err := user.FromCanonical(s)
		if err != nil {
			return Payload{}, Malformed("user %d: %w", i+1, err)
		}
		p.Users = append(p.Users, id)
	}
	if reason := p.fault(); reason != "" {
		return Payload{}, Malformed("%s", reason)
	}
	return p, nil
}

func operationOf(typ string) (ledger.Operation, error) {
	switch typ {
	case TypeBlock:
		return ledger.Block, nil
	case TypeUnblock:
		return ledger.Unblock, nil
	}
	return "", Malformed("a task type that has no users")
}

// Unmarshal reads JSON of at most limit bytes that carries its format in the field format,
// which is part of v.
func Unmarshal(b []byte, limit int, v any, format *int) error {
	if len(b) == 0 {
		return Malformed("an empty payload")
	}
	if len(b) > limit {
		return Malformed("a payload of %d KB, where %d is the most", (len(b)+1023)>>10, limit>>10) // no number so long that it is scrubbed
	}
	err := json.Unmarshal(b, v)
	if *format > Format { // first: a newer format may well have fields of other types
		return Malformed("payload format %d is newer than this program's %d: upgrade the worker, then redrive it",
			*format, Format)
	}
	// The library's own texts can quote the payload.
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return Malformed("no JSON: it breaks off or goes wrong at byte %d of %d", syntax.Offset, len(b))
	case errors.As(err, &wrong) && wrong.Field == "":
		return Malformed("JSON that is not an object")
	case errors.As(err, &wrong):
		return Malformed("the field %s has the wrong type", wrong.Field)
	case err != nil:
		return Malformed("JSON of an unknown shape")
	case *format < 1:
		return Malformed("no payload format (the field v)")
	}
	return nil
}

// Malformed returns an error that wraps ErrMalformed.
func Malformed(format string, args ...any) error {
	return fmt.Errorf("tasks: %w: "+format, append([]any{ErrMalformed}, args...)...)
}

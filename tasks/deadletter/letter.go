package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// Letter is one entry of the dead-letter queue: a user whose request failed for good, or
// a task that is malformed.
type Letter struct {
	// ID is the letter's task ID in the queue. It shows no number. Put ignores it.
	ID string

	// Of a user:

	PhoneNumberID               string
	User                        user.ID
	Operation                   ledger.Operation
	Version                     ledger.Version
	Code                        int
	Message, Details, FBTraceID string
	Attempts                    int
	FirstFailedAt, LastFailedAt time.Time // in milliseconds; also of a malformed task

	// Malformed is set for a malformed task, nil for a user.
	Malformed *Malformed

	// Ends is the end of a timed block in Unix milliseconds, 0 for none; it is read from the ledger when the
	// letter is redriven, and not kept here.
	Ends int64
	// Standing says that the block is wanted until a newer request comes; read from the ledger as Ends is.
	Standing bool
}

// Malformed describes a task that can't be read.
type Malformed struct {
	Reason string // of [queues.Decode]; holds nothing of the payload
	// Type, Queue and TaskID are the task's own, cut to 256 bytes.
	Type, Queue, TaskID string
	// Payload is cut to 1 MiB. Size and SHA256 (hex) are those of the whole.
	Payload []byte
	Size    int
	SHA256  string
}

// Truncated reports whether Payload is less than the task had.
func (m *Malformed) Truncated() bool { return m.Size > len(m.Payload) }

// NewMalformed returns the letter for a task that reason, the error of queues.Decode, speaks of.
func NewMalformed(typ, queue, taskID string, payload []byte, reason error) Letter {
	now := time.Now().UTC().Truncate(time.Millisecond)
	sum := sha256.Sum256(payload)
	return Letter{
		FirstFailedAt: now, LastFailedAt: now,
		Malformed: &Malformed{
			Reason: cut(user.Scrub(strings.TrimPrefix(reason.Error(), "tasks: "))),
			Type:   cut(typ), Queue: cut(queue), TaskID: cut(taskID),
			Payload: payload[:min(len(payload), queues.MaxPayload)], Size: len(payload), SHA256: hex.EncodeToString(sum[:]),
		},
	}
}

const maxWord = 256

// cut returns the first of s, as valid UTF-8.
func cut(s string) string {
	if len(s) > maxWord {
		s = s[:maxWord]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Of returns the letter for a user that the ledger holds dead; the ledger knows all
// that a letter says. Its times may be of two clocks; the last failure is never before the first.
func Of(phoneNumberID string, e ledger.Entry) Letter {
	d := Letter{
		PhoneNumberID: phoneNumberID, User: e.User, Operation: e.Operation, Version: e.Version,
		Attempts: e.Attempts, FirstFailedAt: e.FirstFailedAt.UTC(), LastFailedAt: e.SettledAt.UTC(),
	}
	if d.LastFailedAt.Before(d.FirstFailedAt) {
		d.LastFailedAt = d.FirstFailedAt
	}
	if e.Failure != nil {
		d.Code, d.Message, d.Details, d.FBTraceID = e.Failure.Code, e.Failure.Message, e.Failure.Details, e.Failure.FBTraceID
	}
	return d
}

// wireDeadLetter is the JSON of a Letter. The first ten fields are those that the command
// line shows.
type wireDeadLetter struct {
	Format        int              `json:"v"`
	User          string           `json:"user,omitempty"`
	PhoneNumberID string           `json:"phone_number_id,omitempty"`
	Operation     ledger.Operation `json:"operation,omitempty"`
	Code          int              `json:"code,omitempty"`
	Message       string           `json:"message,omitempty"`
	Details       string           `json:"details,omitempty"`
	FBTraceID     string           `json:"fbtrace_id,omitempty"`
	Attempts      int              `json:"attempts,omitempty"`
	FirstFailedAt time.Time        `json:"first_failed_at,omitzero"`
	LastFailedAt  time.Time        `json:"last_failed_at,omitzero"`
	Version       ledger.Version   `json:"version,omitempty"`
	Malformed     *wireMalformed   `json:"malformed,omitempty"`
}

type wireMalformed struct {
	Reason  string `json:"reason"`
	Type    string `json:"task_type"`
	Queue   string `json:"queue"`
	TaskID  string `json:"task_id"`
	Payload []byte `json:"payload"`
	Size    int    `json:"payload_size"`
	SHA256  string `json:"payload_sha256"`
	// Note is for people who look at the queue.
	Note string `json:"note,omitempty"`
}

const truncatedNote = "the payload was too long to keep: payload holds its first MiB"

func (d Letter) encode() ([]byte, error) {
	w := wireDeadLetter{
		Format: queues.Format, User: d.User.Reveal(), PhoneNumberID: d.PhoneNumberID, Operation: d.Operation,
		Code: d.Code, Message: d.Message, Details: d.Details, FBTraceID: d.FBTraceID, Attempts: d.Attempts,
		FirstFailedAt: milli(d.FirstFailedAt), LastFailedAt: milli(d.LastFailedAt), Version: d.Version,
	}
	if m := d.Malformed; m != nil {
		w.Malformed = &wireMalformed{
			Reason: m.Reason, Type: m.Type, Queue: m.Queue, TaskID: m.TaskID, Payload: m.Payload, Size: m.Size, SHA256: m.SHA256,
		}
		if m.Truncated() {
			w.Malformed.Note = truncatedNote
		}
	}
	return json.Marshal(w)
}

func milli(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// maxDeadLetter leaves room for a malformed payload in base64.
const maxDeadLetter = 2 * queues.MaxPayload

// decodeDeadLetter reads a letter; the error wraps queues.ErrMalformed.
func decodeDeadLetter(typ string, payload []byte) (Letter, error) {
	if typ != queues.TypeDeadLetter {
		return Letter{}, queues.Malformed("a task of another type than %s in the queue %s", queues.TypeDeadLetter, queues.DeadLetter)
	}
	var w wireDeadLetter
	if err := queues.Unmarshal(payload, maxDeadLetter, &w, &w.Format); err != nil {
		return Letter{}, err
	}
	d := Letter{FirstFailedAt: w.FirstFailedAt, LastFailedAt: w.LastFailedAt}
	if m := w.Malformed; m != nil {
		d.Malformed = &Malformed{
			Reason: m.Reason, Type: m.Type, Queue: m.Queue, TaskID: m.TaskID, Payload: m.Payload, Size: m.Size, SHA256: m.SHA256,
		}
		return d, nil
	}
	id, err := user.FromCanonical(w.User)
	if err != nil {
		return Letter{}, queues.Malformed("%w", err)
	}
	d.PhoneNumberID, d.User, d.Operation, d.Version = w.PhoneNumberID, id, w.Operation, w.Version
	d.Code, d.Message, d.Details, d.FBTraceID, d.Attempts = w.Code, w.Message, w.Details, w.FBTraceID, w.Attempts
	if reason := d.fault(); reason != "" {
		return Letter{}, queues.Malformed("%s", reason)
	}
	return d, nil
}

// fault returns the reason why a user's letter is invalid, "" for none.
func (d Letter) fault() string {
	if err := queues.CheckPhoneNumberID(d.PhoneNumberID); err != nil {
		return err.Error()
	}
	switch {
	case d.User.IsZero():
		return "a user without a name"
	case !d.Operation.Valid():
		return "an operation that is neither block nor unblock"
	case d.Version <= 0:
		return "no version"
	}
	return ""
}

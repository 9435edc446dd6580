package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// wirePayload is the JSON of a Payload.
type wirePayload struct {
	Format        int      `json:"v"`
	JobID         string   `json:"job_id"`
	PhoneNumberID string   `json:"phone_number_id"`
	Version       int64    `json:"version"`
	Part          int      `json:"part"`
	Parts         int      `json:"parts"`
	RequestedAt   string   `json:"requested_at"`
	Delayed       bool     `json:"delayed"`
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
	if err := unmarshal(payload, maxPayload, &w, &w.Format); err != nil {
		return Payload{}, err
	}
	p := Payload{
		JobID: w.JobID, PhoneNumberID: w.PhoneNumberID, Operation: op, Version: ledger.Version(w.Version),
		Part: w.Part, Parts: w.Parts, Delayed: w.Delayed, Users: make([]user.ID, 0, min(len(w.Users), MaxUsersPerTask)),
	}
	if p.RequestedAt, err = time.Parse(time.RFC3339Nano, w.RequestedAt); err != nil {
		return Payload{}, malformed("requested_at is no RFC 3339 time")
	}
	p.RequestedAt = p.RequestedAt.UTC()
	if len(w.Users) > MaxUsersPerTask {
		return Payload{}, malformed("%d users, where a task has at most %d", len(w.Users), MaxUsersPerTask)
	}
	for i, s := range w.Users {
		id, err := user.FromCanonical(s)
		if err != nil {
			return Payload{}, malformed("user %d: %w", i+1, err)
		}
		p.Users = append(p.Users, id)
	}
	if reason := p.fault(); reason != "" {
		return Payload{}, malformed("%s", reason)
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
	return "", malformed("a task type that has no users")
}

// unmarshal reads JSON of at most limit bytes that carries its format in the field format,
// which is part of v.
func unmarshal(b []byte, limit int, v any, format *int) error {
	if len(b) == 0 {
		return malformed("an empty payload")
	}
	if len(b) > limit {
		return malformed("a payload of %d KB, where %d is the most", (len(b)+1023)>>10, limit>>10) // no number so long that it is scrubbed
	}
	err := json.Unmarshal(b, v)
	if *format > payloadFormat { // first: a newer format may well have fields of other types
		return malformed("payload format %d is newer than this program's %d: upgrade the worker, then redrive it",
			*format, payloadFormat)
	}
	// The library's own texts can quote the payload.
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return malformed("no JSON: it breaks off or goes wrong at byte %d of %d", syntax.Offset, len(b))
	case errors.As(err, &wrong) && wrong.Field == "":
		return malformed("JSON that is no object")
	case errors.As(err, &wrong):
		return malformed("the field %s has the wrong type", wrong.Field)
	case err != nil:
		return malformed("JSON of an unknown shape")
	case *format < 1:
		return malformed("no payload format (the field v)")
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("tasks: %w: "+format, append([]any{ErrMalformed}, args...)...)
}

package web

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/user"
)

// showPayload returns what may be shown of a task's payload: a summary of wablock's own kinds,
// anything else masked.
func showPayload(typ string, payload []byte) string {
	switch typ {
	case tasks.TypeBlock, tasks.TypeUnblock:
		if p, err := tasks.Decode(typ, payload); err == nil {
			return showJob(p)
		}
	case tasks.TypeDeadLetter:
		if d, ok := decodeDeadLetter(payload); ok {
			return encodeJSON(d)
		}
	}
	return maskBytes(payload)
}

// firstUsers is how many of a task's users are shown, masked.
const firstUsers = 3

func showJob(p tasks.Payload) string {
	first := make([]string, 0, firstUsers+1)
	for _, u := range p.Users[:min(len(p.Users), firstUsers)] {
		first = append(first, u.String())
	}
	if len(p.Users) > firstUsers {
		first = append(first, hidden)
	}
	return encodeJSON(struct {
		JobID         string   `json:"job_id"`
		PhoneNumberID string   `json:"phone_number_id"`
		Operation     string   `json:"operation"`
		Users         int      `json:"users"`
		First         []string `json:"first"`
		Part          string   `json:"part"`
		Version       int64    `json:"version"`
		RequestedAt   string   `json:"requested_at"`
	}{
		JobID: maskName(p.JobID), PhoneNumberID: p.PhoneNumberID, Operation: string(p.Operation),
		Users: len(p.Users), First: first, Part: fmt.Sprintf("%d of %d", p.Part+1, p.Parts),
		Version: int64(p.Version), RequestedAt: p.RequestedAt.Format(time.RFC3339),
	})
}

// deadLetterView is a dead letter as it is shown: the fields of package tasks that tell an
// operator something, masked while they are read.
type deadLetterView struct {
	User          maskedUser     `json:"user,omitempty"`
	Operation     maskedText     `json:"operation,omitempty"`
	Code          int            `json:"code,omitempty"`
	Message       maskedText     `json:"message,omitempty"`
	Details       maskedText     `json:"details,omitempty"`
	Attempts      int            `json:"attempts,omitempty"`
	PhoneNumberID phoneNumberID  `json:"phone_number_id,omitempty"`
	FirstFailedAt time.Time      `json:"first_failed_at,omitzero"`
	LastFailedAt  time.Time      `json:"last_failed_at,omitzero"`
	FBTraceID     maskedText     `json:"fbtrace_id,omitempty"`
	Malformed     *malformedView `json:"malformed,omitempty"`
}

type malformedView struct {
	Reason  maskedText    `json:"reason"`
	Type    maskedText    `json:"task_type,omitempty"`
	Queue   maskedText    `json:"queue,omitempty"`
	TaskID  maskedText    `json:"task_id,omitempty"`
	Size    int           `json:"payload_size"`
	Payload maskedPayload `json:"payload,omitempty"`
}

func decodeDeadLetter(payload []byte) (deadLetterView, bool) {
	var d deadLetterView
	if len(payload) > 2*maxParsed || json.Unmarshal(payload, &d) != nil {
		return deadLetterView{}, false
	}
	return d, d.User != "" || d.Malformed != nil
}

// These mask while JSON is decoded, so that no clear value is held at all.
type (
	maskedText    string
	maskedUser    string
	maskedPayload string
	phoneNumberID string
)

func (m *maskedText) UnmarshalText(b []byte) error {
	*m = maskedText(cut(maskText(string(b)), len(b)))
	return nil
}

func (m *maskedUser) UnmarshalText(b []byte) error {
	*m = hidden
	if id, err := user.FromCanonical(string(b)); err == nil {
		*m = maskedUser(id.String())
	}
	return nil
}

func (m *maskedPayload) UnmarshalJSON(b []byte) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil {
		*m = hidden
		return nil //nolint:nilerr // what is no base64 is not shown
	}
	*m = maskedPayload(maskBytes(raw))
	return nil
}

func (p *phoneNumberID) UnmarshalText(b []byte) error {
	*p = hidden
	if tasks.CheckPhoneNumberID(string(b)) == nil {
		*p = phoneNumberID(b)
	}
	return nil
}

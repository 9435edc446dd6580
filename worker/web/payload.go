package web

import (
	"fmt"
	"time"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/queues"
)

// showPayload returns a task's payload as the pages show it: a summary of wablock's own types,
// anything else masked.
func showPayload(typ string, payload []byte) string {
	switch typ {
	case queues.TypeBlock, queues.TypeUnblock:
		if p, err := queues.Decode(typ, payload); err == nil {
			return showJob(p)
		}
	case queues.TypeDeadLetter:
		return showDeadLetter(deadletter.Read(typ, "", payload))
	}
	return maskBytes(payload)
}

// firstUsers is the number of a task's users that are shown, masked.
const firstUsers = 3

func showJob(p queues.Payload) string {
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

// showDeadLetter summarizes an entry: the fields that tell an operator something, masked.
func showDeadLetter(d deadletter.Letter) string {
	type malformed struct {
		Reason  string `json:"reason"`
		Type    string `json:"task_type,omitempty"`
		Queue   string `json:"queue,omitempty"`
		TaskID  string `json:"task_id,omitempty"`
		Size    int    `json:"payload_size"`
		Payload string `json:"payload,omitempty"`
	}
	view := struct {
		User          string     `json:"user,omitempty"`
		Operation     string     `json:"operation,omitempty"`
		Code          int        `json:"code,omitempty"`
		Message       string     `json:"message,omitempty"`
		Details       string     `json:"details,omitempty"`
		Attempts      int        `json:"attempts,omitempty"`
		PhoneNumberID string     `json:"phone_number_id,omitempty"`
		FirstFailedAt time.Time  `json:"first_failed_at,omitzero"`
		LastFailedAt  time.Time  `json:"last_failed_at,omitzero"`
		FBTraceID     string     `json:"fbtrace_id,omitempty"`
		Malformed     *malformed `json:"malformed,omitempty"`
	}{
		Operation: string(d.Operation), Code: d.Code, Message: cutText(d.Message), Details: cutText(d.Details), Attempts: d.Attempts,
		PhoneNumberID: d.PhoneNumberID, FirstFailedAt: d.FirstFailedAt, LastFailedAt: d.LastFailedAt, FBTraceID: cutText(d.FBTraceID),
	}
	if m := d.Malformed; m != nil {
		view.Malformed = &malformed{
			Reason: cutText(m.Reason), Type: cutText(m.Type), Queue: cutText(m.Queue), TaskID: maskName(m.TaskID),
			Size: m.Size, Payload: maskBytes(m.Payload),
		}
	} else {
		view.User = d.User.String()
	}
	return encodeJSON(view)
}

func cutText(s string) string { return cut(maskText(s), len(s)) }

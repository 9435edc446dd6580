package reply

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/tasks/waiting"
)

// Status is the answer of `status` for one user.
type Status struct {
	User          string           `json:"user"`
	PhoneNumberID string           `json:"phone_number_id"`
	Operation     ledger.Operation `json:"operation,omitempty"`
	State         string           `json:"state"`
	Version       ledger.Version   `json:"version,omitempty"`
	WaID          string           `json:"wa_id,omitempty"`
	Code          int              `json:"code,omitempty"`
	Message       string           `json:"message,omitempty"`
	Details       string           `json:"details,omitempty"`
	Attempts      *int             `json:"attempts,omitempty"`
	Queue         ledger.Queue     `json:"queue,omitempty"`
	Discarded     bool             `json:"discarded,omitempty"`     // from the dead-letter queue
	KnownAs       []string         `json:"known_as,omitempty"`      // the other names of the same person that are known
	SupersededBy  string           `json:"superseded_by,omitempty"` // another name of the same person, whose newer request decides
	WaitingFor    waiting.Cause    `json:"waiting_for,omitempty"`   // while pending
	WaitingText   string           `json:"waiting_text,omitempty"`  // with the next step
	ExpectedAt    time.Time        `json:"expected_at,omitzero"`    // about when its call goes out, if that is known
	// LastHeardAt is the time of the last message of the user that is known, and WindowUntil the time until which it allows a block.
	LastHeardAt time.Time `json:"last_heard_at,omitzero"`
	WindowUntil time.Time `json:"window_until,omitzero"`
	RequestedAt time.Time `json:"requested_at,omitzero"`
	SettledAt   time.Time `json:"settled_at,omitzero"`
	// JobID is left out when the job is no longer kept; who asked and why stays with the record.
	JobID       string `json:"job_id,omitempty"`
	RequestedBy string `json:"requested_by,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Reference   string `json:"reference,omitempty"`
	// Until is the end of a timed block.
	Until   time.Time              `json:"until,omitzero"`
	Planned []tasks.PlannedRequest `json:"planned,omitempty"`
}

// The states of a user.
const (
	Pending      = "pending"
	InFlight     = "in_flight"
	Succeeded    = "succeeded"
	DeadLettered = "dead_lettered"
	Unknown      = "unknown"
)

func stateOf(s ledger.State) string {
	switch s {
	case ledger.Waiting:
		return Pending
	case ledger.InFlight:
		return InFlight
	case ledger.Succeeded:
		return Succeeded
	case ledger.Dead, ledger.Discarded:
		return DeadLettered
	case ledger.Unknown, ledger.Superseded, ledger.Canceled:
	}
	return Unknown
}

// Statuses returns the Status of each of up to [ledger.MaxBatch] users of a phone number ID, with what the pending ones wait for.
func Statuses(ctx context.Context, rdb redis.UniversalClient, phoneNumberID string, users []user.ID) ([]Status, error) {
	l := ledger.New(rdb, phoneNumberID)
	known, err := tasks.Statuses(ctx, rdb, l, users)
	if err != nil {
		return nil, err
	}
	entries := make([]ledger.Entry, len(known))
	for i, k := range known {
		entries[i] = k.Entry
	}
	newer, err := l.NewerNames(ctx, entries)
	if err != nil {
		return nil, err
	}
	all := make([]Status, len(known))
	for i, k := range known {
		all[i] = ofUser(l.PhoneNumberID(), k)
		if !newer[i].User.IsZero() {
			all[i].SupersededBy = newer[i].User.Reveal()
		}
	}
	return all, explainWindows(ctx, rdb, phoneNumberID, all)
}

// plannedText describes a request that is put off.
func plannedText(p tasks.PlannedRequest) string {
	return fmt.Sprintf("%s planned for %s", p.Operation, p.At.UTC().Format(time.RFC3339))
}

func ofUser(phoneNumberID string, e tasks.UserStatus) Status {
	s := Status{
		User: e.User.Reveal(), PhoneNumberID: phoneNumberID, State: stateOf(e.State), Planned: e.Planned,
		WaitingFor: e.WaitingFor, WaitingText: e.WaitingText, ExpectedAt: e.ExpectedAt,
	}
	for _, u := range e.Known {
		if u != e.User {
			s.KnownAs = append(s.KnownAs, u.Reveal())
		}
	}
	if len(s.Planned) > 0 && s.State != Pending && s.State != InFlight {
		s.WaitingText = plannedText(s.Planned[0])
	}
	if s.State == Unknown {
		return s
	}
	s.Operation, s.Version, s.WaID, s.Queue = e.Operation, e.Version, e.WaID, e.Queue
	s.Attempts, s.Discarded = &e.Attempts, e.State == ledger.Discarded
	s.RequestedAt, s.SettledAt = e.RequestedAt, e.SettledAt.UTC()
	s.JobID, s.RequestedBy, s.Reason, s.Reference, s.Until = e.JobID, e.By, e.Reason, e.Reference, e.Until
	if f := e.Failure; f != nil {
		if e.State == ledger.Dead && e.Standing && f.Code == tasks.CodeWindow {
			s.State, s.WaitingFor, s.WaitingText = Pending, waiting.Window, waiting.WindowText
		}
		s.Code, s.Message, s.Details = f.Code, f.Message, f.Details
	}
	return s
}

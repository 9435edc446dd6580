package reply

import (
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
)

// Pausing is the answer of `pause` and `resume`.
type Pausing struct {
	PhoneNumberID string             `json:"phone_number_id,omitempty"`
	All           bool               `json:"all,omitempty"`
	Operations    []ledger.Operation `json:"operations"` // that are paused, or were and go on now
	Reason        string             `json:"reason,omitempty"`
	RequestedBy   string             `json:"requested_by,omitempty"`
	Since         time.Time          `json:"since,omitzero"`
	Until         time.Time          `json:"until,omitzero"`
}

// OfPauses returns the answer about pauses that were set together, for a phone number ID or with "" for all.
func OfPauses(phoneNumberID string, set []pause.Pause) Pausing {
	p := OfResumed(phoneNumberID, nil)
	for _, s := range set {
		p.Operations = append(p.Operations, s.Operation)
		p.Reason, p.RequestedBy, p.Since, p.Until = s.Reason, s.RequestedBy, s.Since, s.Until
	}
	return p
}

// OfResumed returns the answer about operations that go on.
func OfResumed(phoneNumberID string, cleared []ledger.Operation) Pausing {
	return Pausing{PhoneNumberID: phoneNumberID, All: phoneNumberID == "", Operations: append([]ledger.Operation{}, cleared...)}
}

package reply

import "github.com/wablock/wablock/tasks"

// Heard is the answer of `heard`.
type Heard struct {
	PhoneNumberID string            `json:"phone_number_id"`
	Accepted      int               `json:"accepted"`
	Revived       int               `json:"revived"`           // asked for again
	TooOld        int               `json:"too_old,omitempty"` // of the accepted, those without an effect
	Rejected      []tasks.Rejection `json:"rejected"`
}

// OfHeard returns the answer for a report.
func OfHeard(phoneNumberID string, r tasks.HeardReport) Heard {
	h := Heard{PhoneNumberID: phoneNumberID, Accepted: r.Accepted, Revived: r.Revived, TooOld: r.TooOld, Rejected: r.Rejected}
	if h.Rejected == nil {
		h.Rejected = []tasks.Rejection{}
	}
	return h
}

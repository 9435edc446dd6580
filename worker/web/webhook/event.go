package webhook

import "time"

// Kind names the sort of an Event.
type Kind string

// The kinds.
const (
	// Message opens the window in which the user can be blocked.
	Message Kind = "message"
	// Weak may open it: a reaction, an edit, a revocation, a call by the user.
	Weak Kind = "weak"
	// Identity opens nothing, and names a person: a message in a group, a status, a thread of a history.
	Identity Kind = "identity"
	// Change tells that a person has another number, or another business-scoped user ID.
	Change Kind = "change"
)

// Event is one thing that a webhook tells of a person. It holds nothing of a message's content.
type Event struct {
	PhoneNumberID string
	Kind          Kind
	// WaID and UserID name the person: digits, and a business-scoped user ID. One of them may be "", and of a
	// Change they are the new ones. They are as they came: check them before use.
	WaID, UserID string
	// PreviousWaID and PreviousUserID are those that a Change takes the place of, as far as they are told.
	PreviousWaID, PreviousUserID string
	// At is zero where no time was told, or none that can be read.
	At time.Time
}

// Counts holds what a body had, beside events.
type Counts struct {
	// Ignored counts what tells of no person; Unreadable what is not as Meta's pages have it.
	Ignored, Unreadable int
}

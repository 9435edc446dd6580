package deadletter

import (
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/user"
)

// Filter chooses letters of the dead-letter queue; a letter must pass everything that is set.
// The zero Filter chooses all.
type Filter struct {
	// IDs are those of the letters' tasks, which are found at once.
	IDs           []string
	PhoneNumberID string
	// Users are found under every name of theirs that is known, at once when PhoneNumberID is set, else by reading
	// the whole queue.
	Users []user.ID
	Codes []int
	// FailedBefore and FailedAfter bound the last failure: the age.
	FailedBefore, FailedAfter time.Time
	// After leaves out the letters whose ID is not behind this one: reading goes on there. Letters
	// come in the order of their IDs.
	After string
	// Kind is users, malformed tasks or both.
	Kind Kind
}

// Kind tells the two kinds of letters apart.
type Kind int

// The kinds. Everything else in a Filter but the times speaks of users alone, and lets no
// malformed task through when it is set.
const (
	AnyKind Kind = iota
	UsersOnly
	MalformedOnly
)

func (f Filter) match(e Letter) bool {
	if f.After != "" && e.ID <= f.After {
		return false
	}
	if !f.FailedBefore.IsZero() && !e.LastFailedAt.Before(f.FailedBefore) ||
		!f.FailedAfter.IsZero() && !e.LastFailedAt.After(f.FailedAfter) {
		return false
	}
	if e.Malformed != nil {
		return f.Kind != UsersOnly && f.PhoneNumberID == "" && len(f.Users)+len(f.Codes) == 0
	}
	return f.Kind != MalformedOnly &&
		(f.PhoneNumberID == "" || e.PhoneNumberID == f.PhoneNumberID) &&
		(len(f.Users) == 0 || slices.Contains(f.Users, e.User)) &&
		(len(f.Codes) == 0 || slices.Contains(f.Codes, e.Code))
}

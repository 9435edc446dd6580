package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrBlocked says that a message never arrived because its sender is blocked.
var ErrBlocked = errors.New("simulator: the user is blocked, so the message does not arrive")

// maxListed bounds a list, whatever the capacity that calls are held to.
const maxListed = 1_000_000

// Seed puts users onto the list of a phone number ID, whatever their window and the capacity,
// as if they had been blocked earlier. Users are numbers or business-scoped user IDs; the error
// of one that is neither comes before anything is changed.
func (s *Simulator) Seed(phoneNumberID string, users ...string) error {
	for i, u := range users {
		if _, ok := canonical(u); !ok {
			return fmt.Errorf("simulator: seed: user %d is neither a phone number nor a user ID", i+1)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	n := s.number(phoneNumberID, now)
	if n == nil {
		return errNoNumber(phoneNumberID)
	}
	if n.list.len()+len(users) > maxListed {
		return fmt.Errorf("simulator: seed: no list may hold more than %d users", maxListed)
	}
	for _, u := range users {
		n.list.add(now, s.set.directory.resolve(u).key)
	}
	n.list.bump(now)
	return nil
}

// Snapshot returns who is on the list of a phone number ID, in the order in which they came:
// wa_ids, and the business-scoped user IDs of users who have none. It sees every change at
// once, whatever Listing.Lag.
func (s *Simulator) Snapshot(phoneNumberID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.numbers[phoneNumberID]
	if n == nil {
		return nil
	}
	return slices.Clone(n.list.members())
}

// PhoneNumberIDs returns those that have been used or listed, sorted.
func (s *Simulator) PhoneNumberIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]string, 0, len(s.numbers))
	for id := range s.numbers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return ids
}

// UserWrote records that a user wrote to the phone number ID at a time; the zero time means
// now. It returns ErrBlocked, and records nothing, if the user is on the list.
func (s *Simulator) UserWrote(phoneNumberID, user string, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, p, err := s.find(phoneNumberID, user)
	if err != nil {
		return err
	}
	if n.list.has(p.key) {
		return ErrBlocked
	}
	if at.IsZero() {
		at = s.now()
	}
	return s.window.note(s.set.writerOf(n, p), at)
}

// WindowOpen reports whether the user wrote to the phone number ID recently enough to be
// blocked. It is false for what is no user.
func (s *Simulator) WindowOpen(phoneNumberID, user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, p, err := s.find(phoneNumberID, user)
	return err == nil && p.trick != trickSilent && s.window.open(s.set, n, p, s.now())
}

func (s *Simulator) find(phoneNumberID, user string) (*number, person, error) {
	n := s.number(phoneNumberID, s.now())
	if n == nil {
		return nil, person{}, errNoNumber(phoneNumberID)
	}
	p := s.set.directory.resolve(user)
	if p.bad {
		return nil, person{}, errors.New("simulator: nobody on WhatsApp has this number or user ID")
	}
	return n, p, nil
}

// Journal returns the calls that the journal still holds, oldest first; see Dropped.
func (s *Simulator) Journal() []Call {
	calls, _ := s.journalSince(0)
	return calls
}

// Dropped is how many older calls the journal had no room for.
func (s *Simulator) Dropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.dropped
}

func (s *Simulator) journalSince(seq int64) (calls []Call, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.copies(seq), s.journal.dropped
}

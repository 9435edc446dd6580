package simulator

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// state holds what the API remembers between calls.
type state struct {
	now   func() time.Time
	log   *slog.Logger
	ticks atomic.Int64 // orders the beginnings and ends of calls

	mu       sync.Mutex // guards all below
	set      *settings  // replaced as a whole, never changed
	numbers  map[string]*number
	window   window
	limiters []*limiter
	faults   []*fault
	journal  journal
}

// number returns the state of a phone number ID, made on first use; nil if there is no such
// number. Requires s.mu held.
func (s *state) number(id string, now time.Time) *number {
	_, listed := s.set.listed[id]
	if s.set.OnlyListed && !listed || !idPattern.MatchString(id) {
		return nil
	}
	if n := s.numbers[id]; n != nil {
		return n
	}
	if len(s.numbers) >= s.set.MaxPhoneNumbers {
		return nil
	}
	return s.create(id, now)
}

func (s *state) create(id string, now time.Time) *number {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	n := &number{
		id:    id,
		list:  newBlocklist(now),
		tries: map[try]int{},
		rng:   rand.New(rand.NewPCG(s.set.Seed, h.Sum64())),
	}
	s.numbers[id] = n
	s.configure(n)
	return n
}

// configure applies the settings of a number.
func (s *state) configure(n *number) {
	listed := s.set.listed[n.id]
	n.account, n.own = listed.Account, ""
	def(&n.account, defaultAccount)
	if listed.Own != "" {
		n.own, _ = canonical(listed.Own)
	}
	n.list.setLag(time.Duration(s.set.Listing.Lag))
}

// errNoNumber explains which phone number IDs exist.
func errNoNumber(id string) error {
	return fmt.Errorf("simulator: no phone number ID %s: IDs are digits; see only_listed and max_phone_numbers", id)
}

func (s *state) find(phoneNumberID, user string) (*number, person, error) {
	n := s.number(phoneNumberID, s.now())
	if n == nil {
		return nil, person{}, errNoNumber(phoneNumberID)
	}
	p := s.set.directory.resolve(user)
	if p.gone {
		return nil, person{}, errors.New("simulator: the user has changed this number or user ID: give the new one")
	}
	if p.bad {
		return nil, person{}, errors.New("simulator: no user of WhatsApp has this number or user ID")
	}
	return n, p, nil
}

func (s *state) journalSince(seq int64) (calls []Call, dropped int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.copies(seq), s.journal.dropped
}

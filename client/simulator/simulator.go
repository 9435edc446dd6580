package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Config holds the arguments of New. The zero Config works.
type Config struct {
	Scenario Scenario
	// Now tells the time. nil: time.Now. Latency passes on the real clock whatever Now says.
	Now func() time.Time
	// Logger gets one line a call, without users. nil: none.
	Logger *slog.Logger
}

// Simulator is a simulated Block Users API: an [http.Handler], safe for concurrent use, that
// starts no goroutine and needs no closing.
type Simulator struct {
	state
	control http.Handler
}

// New returns a simulator in the state that the scenario describes. The error names what is
// wrong in the scenario.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{state: state{now: cfg.Now, log: cfg.Logger}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.control = controlHandler(s)
	if err := s.SetScenario(cfg.Scenario); err != nil {
		return nil, err
	}
	s.Reset()
	return s, nil
}

// ServeHTTP serves the API, and under /_simulator/ its controls.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, controlPrefix); ok && (rest == "" || rest[0] == '/') {
		s.control.ServeHTTP(w, r)
		return
	}
	x := &exchange{s: &s.state, r: r, call: &Call{Begun: s.ticks.Add(1), Begin: s.now()}}
	a := serve(x)
	x.end(a.status, a.code)
	a.send(w, r)
}

// SetScenario changes the settings while calls go on. Lists, windows and the journal stay as
// they are, and the counts of limits and of faults do where these did not change; PhoneNumber.
// Blocked and User.Wrote take hold at the next Reset. Tokens expire from now.
func (s *Simulator) SetScenario(sc Scenario) error {
	sc = sc.withDefaults()
	if err := validate(sc); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.set
	changed := newChanges()
	if old != nil {
		changed = old.directory.changed
	}
	s.set = newSettings(sc, s.now(), changed)
	if old == nil || !reflect.DeepEqual(old.Limits, sc.Limits) {
		s.limiters = newLimiters(sc.Limits)
	}
	if old == nil || !reflect.DeepEqual(old.Faults, sc.Faults) {
		s.faults = newFaults(sc.Faults)
	}
	s.journal.limits = sc.Journal
	s.journal.trim()
	for _, n := range s.numbers {
		s.configure(n)
	}
	return nil
}

// Scenario returns the settings in force, defaults filled in. The caller must not change what
// its slices hold.
func (s *Simulator) Scenario() Scenario {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.Scenario
}

// Reset goes back to the start of the scenario in force: its lists and windows, no call made,
// an empty journal. A call in flight ends on the state that was.
func (s *Simulator) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	set := *s.set // calls in flight go on with the other
	set.directory.changed = newChanges()
	s.set = &set
	s.numbers = map[string]*number{}
	s.window = newWindow(now)
	s.limiters = newLimiters(s.set.Limits)
	s.faults = newFaults(s.set.Faults)
	s.journal = journal{limits: s.set.Journal}
	for _, listed := range s.set.PhoneNumbers {
		n := s.create(listed.ID, now)
		for _, u := range listed.Blocked {
			n.list.add(now, s.set.directory.resolve(u).key)
		}
	}
}

// ErrBlocked marks a message that never arrived because its sender is blocked.
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

// Snapshot returns the users on the list of a phone number ID, in the order in which they came:
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
	return s.window.note(writerOf(s.set, n, p), at)
}

// UserChanged gives a user another number, another business-scoped user ID or both. The old ones are theirs no more:
// a block of one gives 131047, and an unblock succeeds. The window goes with the user, and with
// [Blocking.FollowsUser] their place on the lists does.
func (s *Simulator) UserChanged(phoneNumberID, user string, to Change) error {
	_, _, err := s.change(phoneNumberID, user, to)
	return err
}

// change returns what the user was called before and is called now.
func (s *Simulator) change(phoneNumberID, user string, to Change) (before, after identity, err error) {
	number, ok := canonical(to.User)
	switch {
	case to.User == "" && to.UserID == "":
		return before, after, errNoChange
	case to.User != "" && (!ok || number[0] != '+'):
		return before, after, errors.New("simulator: the new number is not a phone number")
	case to.UserID != "" && (!isUserID(to.UserID) || isParentUserID(to.UserID)):
		return before, after, errors.New("simulator: the new user ID is not a business-scoped user ID")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, p, err := s.find(phoneNumberID, user)
	if err != nil {
		return before, after, err
	}
	d := s.set.directory
	if d.changed.full() {
		return before, after, fmt.Errorf("simulator: remembers the changes of at most %d users: reset it", maxChanged/4)
	}
	before = identity{key: p.key, waID: p.waID, userID: d.userIDOf(p.key), hidden: d.usernameOf(p.key)}
	after = before
	if to.User != "" {
		after.waID = number[1:]
		if d.made(before.userID) {
			after.userID = madeUserID(after.waID)
		}
	}
	if to.UserID != "" {
		after.userID = to.UserID
	}
	if after.key = after.waID; after.key == "" {
		after.key = after.userID
	}
	if after == before {
		return before, after, errNoChange
	}
	old := []string{}
	if after.waID != before.waID {
		old = append(old, "+"+before.waID)
		if !p.byID {
			old = append(old, p.name)
		}
	}
	if after.userID != before.userID {
		old = append(old, before.userID)
	}
	s.move(p, before.key, after.key)
	d.changed.note(before, after, old...)
	return before, after, nil
}

// move takes the window of a user along to another key, and with the setting their places on lists. Requires s.mu held.
func (s *Simulator) move(p person, from, to string) {
	if from == to {
		return
	}
	now := s.now()
	moved := p
	moved.key = to
	for _, n := range s.numbers {
		if at, wrote := s.window.last(s.set, n, p, now); wrote {
			_ = s.window.note(writerOf(s.set, n, moved), at) // full: the user may then count as silent
		}
		if s.set.Blocking.FollowsUser && n.list.has(from) {
			n.list.remove(now, from)
			n.list.add(now, to)
			n.list.bump(now)
		}
	}
}

// sender returns who writes: by both names, or by the user ID alone where the number is hidden.
func (s *Simulator) sender(phoneNumberID, user string) (identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, p, err := s.find(phoneNumberID, user)
	if err != nil {
		return identity{}, err
	}
	d := s.set.directory
	who := identity{key: p.key, waID: p.waID, userID: d.userIDOf(p.key), hidden: d.usernameOf(p.key)}
	if who.hidden != "" {
		who.waID = ""
	}
	return who, nil
}

// delivery returns how a webhook of a phone number ID is sent to a URL.
func (s *Simulator) delivery(to, phoneNumberID string) delivery {
	return delivery{to: to, appSecret: s.Scenario().AppSecret, phoneNumberID: phoneNumberID}
}

// Journal returns the calls that the journal still holds, oldest first; see Dropped.
func (s *Simulator) Journal() []Call {
	calls, _ := s.journalSince(0)
	return calls
}

// Dropped returns the number of older calls that the journal had no room for.
func (s *Simulator) Dropped() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.dropped
}

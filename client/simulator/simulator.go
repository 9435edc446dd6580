package simulator

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what New needs. The zero Config works.
type Config struct {
	Scenario Scenario
	// Now tells the time. nil: time.Now. Latency passes on the real clock whatever Now says.
	Now func() time.Time
	// Logger gets one line a call, without users. nil: nobody.
	Logger *slog.Logger
}

// Simulator is a simulated Block Users API: an [http.Handler], safe for concurrent use, that
// starts no goroutine and needs no closing.
type Simulator struct {
	now     func() time.Time
	log     *slog.Logger
	control http.Handler
	ticks   atomic.Int64 // orders the beginnings and ends of calls

	mu       sync.Mutex // guards all below
	set      *settings  // replaced as a whole, never changed
	numbers  map[string]*number
	window   window
	limiters []*limiter
	faults   []*fault
	journal  journal
}

// settings is a scenario made ready for use.
type settings struct {
	Scenario
	since     time.Time // when it was set; tokens expire from here
	directory directory
	listed    map[string]PhoneNumber
}

func newSettings(sc Scenario, now time.Time) *settings {
	set := &settings{Scenario: sc, since: now, directory: newDirectory(sc), listed: map[string]PhoneNumber{}}
	for _, n := range sc.PhoneNumbers {
		set.listed[n.ID] = n
	}
	return set
}

// number is the state of one business phone number.
type number struct {
	id, account string
	own         string // canonical; empty if unknown
	list        blocklist
	tries       map[try]int
	rng         *rand.Rand // one for each, so that lanes do not disturb each other's luck
}

// try counts calls with those test numbers that change their mind.
type try struct {
	op    Operation
	trick trick
}

// New returns a simulator in the state that the scenario describes. The error names what is
// wrong in the scenario.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{now: cfg.Now, log: cfg.Logger}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.control = s.controlHandler()
	if err := s.SetScenario(cfg.Scenario); err != nil {
		return nil, err
	}
	s.Reset()
	return s, nil
}

// SetScenario changes the settings while calls go on. Lists, windows and the journal stay as
// they are, and the counts of limits and of faults do where these did not change; PhoneNumber.
// Blocked and User.Wrote take hold at the next Reset. Tokens expire from now.
func (s *Simulator) SetScenario(sc Scenario) error {
	sc = sc.withDefaults()
	if err := sc.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.set
	s.set = newSettings(sc, s.now())
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

// number returns the state of a phone number ID, made on first use; nil if there is no such
// number. Requires s.mu held.
func (s *Simulator) number(id string, now time.Time) *number {
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

func (s *Simulator) create(id string, now time.Time) *number {
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

// configure gives a number what the settings say of it.
func (s *Simulator) configure(n *number) {
	listed := s.set.listed[n.id]
	n.account, n.own = listed.Account, ""
	def(&n.account, defaultAccount)
	if listed.Own != "" {
		n.own, _ = canonical(listed.Own)
	}
	n.list.setLag(time.Duration(s.set.Listing.Lag))
}

// errNoNumber says which phone number IDs exist.
func errNoNumber(id string) error {
	return fmt.Errorf("simulator: no phone number ID %s: IDs are digits; see only_listed and max_phone_numbers", id)
}

package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// ErrNoLane is returned while the worker stops, or serves too many phone number IDs.
var ErrNoLane = errors.New("worker: the worker stops, or serves too many phone number IDs")

// Pool opens a lane for each phone number ID that has work, and closes it when it has none.
type Pool struct {
	cfg Config
	wg  sync.WaitGroup

	mu   sync.Mutex
	open map[string]*lane
	// parked are phone number IDs with work whose lanes gave their places up to others while they
	// had nothing to do.
	parked map[string]parking
	// line holds the phone number IDs that found no place, in the order in which they get one. freed wakes unpark.
	line     []string
	freed    chan struct{}
	accounts map[string]*account
	// opened counts the lanes opened so far, so that their claims' IDs differ.
	opened int
	// ctx ends when no new call may begin, calls when those in flight must stop as well, and
	// settles when their outcomes must have been written. They are set when running is closed.
	ctx, calls, settles context.Context
	running             chan struct{}
}

// New returns a pool without lanes.
func New(cfg Config) *Pool {
	return &Pool{cfg: cfg, open: map[string]*lane{}, accounts: map[string]*account{}, parked: map[string]parking{}, freed: make(chan struct{}, 1), running: make(chan struct{})}
}

// Run serves lanes until ctx ends, then lets calls in flight end and be settled, for the shutdown
// timeout at the most. It is called once, and the other methods wait for that.
func (p *Pool) Run(ctx context.Context) {
	calls, stopCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCalls()
	settles, stopSettles := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSettles()
	p.ctx, p.calls, p.settles = ctx, calls, settles
	close(p.running)

	p.wg.Go(func() { p.unpark(ctx) })
	<-ctx.Done()
	cut := time.AfterFunc(p.cfg.ShutdownTimeout, stopCalls)
	defer cut.Stop()
	end := time.AfterFunc(p.cfg.ShutdownTimeout+settleGrace, stopSettles)
	defer end.Stop()
	p.mu.Lock()   // a lane that is being opened is open, or sees the end
	p.mu.Unlock() //nolint:staticcheck // a barrier
	p.wg.Wait()
}

// Listen opens and wakes the lanes that producers announce work for, until ctx ends.
func (p *Pool) Listen(ctx context.Context) {
	sub := p.cfg.Redis.Subscribe(ctx, ledger.WakeChannel)
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-sub.Channel():
			if !ok {
				return
			}
			p.Wake(m.Payload)
		}
	}
}

// Wake makes a phone number ID's lane look for users to claim, opening it if need be. A malformed
// ID, or one that comes when lanes are scarce, is ignored: its task comes in any case, and any
// Redis client may publish one.
func (p *Pool) Wake(phoneNumberID string) {
	if queues.CheckPhoneNumberID(phoneNumberID) != nil {
		return
	}
	<-p.running
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.parked[phoneNumberID]; !known && p.open[phoneNumberID] == nil && p.crowded() {
		return
	}
	if l, err := p.get(phoneNumberID); err == nil {
		l.wakeUp()
	}
}

// Follow marks the users of a task, wakes their lane, and waits for their ends for as long as that
// is worth a handler.
func (p *Pool) Follow(ctx context.Context, t queues.Payload, q ledger.Queue) (Progress, error) {
	l, err := p.acquire(t.PhoneNumberID)
	if err != nil {
		return Progress{}, err
	}
	defer p.release(l)
	return l.follower.follow(ctx, t, q)
}

// Mark marks the users of a task and wakes their lane. It returns those that were found dead.
func (p *Pool) Mark(ctx context.Context, t queues.Payload, q ledger.Queue) (dead []user.ID, err error) {
	l, err := p.acquire(t.PhoneNumberID)
	if err != nil {
		return nil, err
	}
	defer p.release(l)
	return l.follower.mark(ctx, t, q)
}

// Status is the state of one phone number ID's lane.
type Status struct {
	PhoneNumberID string
	Parked        bool // its lane gave its place up while it has nothing to do
	verdict.Status
}

// Status returns the states of the phone number IDs that have work.
func (p *Pool) Status() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Status, 0, len(p.open))
	for id, l := range p.open {
		list = append(list, Status{id, false, l.breaker.Status(time.Now())})
	}
	for id, k := range p.parked {
		list = append(list, Status{id, true, k.breaker.Status(time.Now())})
	}
	return list
}

// Lanes returns the lanes as other processes are shown them: those that are open, and the parked ones whose calls
// don't go.
func (p *Pool) Lanes() []fleet.Lane {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]fleet.Lane, 0, len(p.open))
	for id, l := range p.open {
		o := shown(id, l.breaker.Status(now), now)
		l.load.show(&o)
		list = append(list, o)
	}
	for id, k := range p.parked {
		if s := k.breaker.Status(now); s.State != verdict.Running && len(list) < fleet.MaxLanes {
			list = append(list, shown(id, s, now))
		}
	}
	return list
}

// Learnt takes note of what the limiter holds to be allowed for a phone number ID.
func (p *Pool) Learnt(phoneNumberID string, s ratelimit.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.open[phoneNumberID]; l != nil {
		l.load.learn(s)
	}
}

// acquire returns the lane of a phone number ID, open until it is released.
func (p *Pool) acquire(phoneNumberID string) (*lane, error) {
	<-p.running
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.get(phoneNumberID)
	if err != nil {
		return nil, err
	}
	l.refs++
	return l, nil
}

func (p *Pool) release(l *lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.refs--
	if l.refs == 0 && p.crowded() {
		l.wakeUp() // to see that it has no work, and make room
	}
}

// crowded reports whether further phone number IDs may soon have to wait for a lane. It
// requires mu held.
func (p *Pool) crowded() bool { return len(p.open) > p.cfg.MaxLanes/4*3 }

// get returns the open lane of a phone number ID, or opens one, on the breaker of its parked predecessor. It fails with
// ErrNoLane where no place is left for it behind those that wait for one, and puts it in line. It requires mu held.
func (p *Pool) get(phoneNumberID string) (*lane, error) {
	if l, ok := p.open[phoneNumberID]; ok {
		return l, nil
	}
	if p.ctx.Err() != nil {
		return nil, ErrNoLane
	}
	ahead := slices.Index(p.line, phoneNumberID)
	if ahead < 0 {
		ahead = len(p.line)
	}
	if len(p.open)+ahead >= p.cfg.MaxLanes {
		if ahead == len(p.line) && ahead < maxParked {
			p.line = append(p.line, phoneNumberID)
		}
		return nil, ErrNoLane
	}
	if ahead < len(p.line) {
		p.line = slices.Delete(p.line, ahead, ahead+1)
	}
	number, ok := p.cfg.Resolve(phoneNumberID)
	if !ok {
		number = unserved(phoneNumberID)
	}
	if p.crowded() {
		p.makeRoom()
	}
	p.opened++
	k, parked := p.parked[phoneNumberID]
	if !parked {
		k.breaker = new(verdict.Breaker)
	}
	delete(p.parked, phoneNumberID)
	l := newLane(&p.cfg, number, ok, p.account(number.Account), k.breaker, fmt.Sprintf("%s-%x-", p.cfg.WorkerID, p.opened))
	l.refusedToken.Store(k.refusedToken)
	p.open[phoneNumberID] = l
	p.wg.Go(func() {
		defer close(l.follower.ended)
		l.run(p.ctx, p.calls, p.settles, func(idle, rest time.Duration) bool { return p.retire(l, idle, rest) })
	})
	return l, nil
}

// account returns what is known of a business account, nil for none. It requires mu held.
func (p *Pool) account(id string) *account {
	if id == "" {
		return nil
	}
	a := p.accounts[id]
	if a == nil && len(p.accounts) < maxParked {
		a = new(account)
		p.accounts[id] = a
	}
	return a
}

// makeRoom asks some lanes, any of them, whether they have nothing to do. It requires mu held.
func (p *Pool) makeRoom() {
	n := 0
	for _, l := range p.open {
		select {
		case l.scarce <- struct{}{}:
		default:
		}
		if n++; n == 4 {
			return
		}
	}
}

// parking is the rest of a lane that gave its place up.
type parking struct {
	breaker      *verdict.Breaker
	refusedToken *secret.String
	until        time.Time
}

// retire closes a lane that has been without work for a while, unless a handler has just come to
// use it. While lanes are scarce it also parks one that would sleep.
func (p *Pool) retire(l *lane, idle, rest time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.refs > 0 || len(l.wake) > 0 || len(l.slots) > 0 {
		return false
	}
	defer p.free()
	switch crowded := p.crowded(); {
	case idle > idleClose, idle > 0 && crowded:
		delete(p.open, l.number.ID)
		p.cfg.Metrics.LaneClosed(l.number.ID)
		return true
	case crowded && rest >= parkFrom && l.claims.unacked == "" && len(p.parked) < maxParked:
		delete(p.open, l.number.ID)
		p.parked[l.number.ID] = parking{l.breaker, l.refusedToken.Load(), time.Now().Add(rest)}
		return true
	}
	return false
}

// free wakes unpark if there is a place for those in line. It requires mu held.
func (p *Pool) free() {
	if len(p.line) == 0 || len(p.open) >= p.cfg.MaxLanes {
		return
	}
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

// unpark opens the lanes of phone number IDs in line, and of parked ones that are due, as long as there is room.
func (p *Pool) unpark(ctx context.Context) {
	tick := time.NewTicker(parkPoll)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-p.freed:
		}
		p.mu.Lock()
		for len(p.line) > 0 {
			if _, err := p.get(p.line[0]); err != nil {
				break
			}
		}
		for id, k := range p.parked {
			if time.Now().After(k.until) {
				if _, err := p.get(id); err != nil {
					break
				}
			}
		}
		p.mu.Unlock()
	}
}

package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wablock/wablock/tasks/queues"
)

// errTooManyLanes is returned when maxLanes phone number IDs are served already.
var errTooManyLanes = errors.New("worker: too many phone number IDs at once")

// lanes opens a lane for each phone number ID that has work, and forgets it when it has none.
type lanes struct {
	w  *Worker
	wg sync.WaitGroup

	mu   sync.Mutex
	open map[string]*lane
	// ctx ends when no new call may begin, nil before start; calls ends when those in flight
	// must stop as well, and settles when what came of them must have been written down.
	ctx, calls, settles context.Context
}

func newLanes(w *Worker) *lanes { return &lanes{w: w, open: map[string]*lane{}} }

// start lets lanes open until ctx ends.
func (s *lanes) start(ctx, calls, settles context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.calls, s.settles = ctx, calls, settles
}

// settling bounds the writing down of what came of a call, which goes on when the call had to
// stop, until its claim is lost for sure, or the worker has to end.
func (s *lanes) settling(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	settles := s.settles
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.w.claimHold()+claimMargin)
	stop := context.AfterFunc(settles, cancel)
	return ctx, func() { stop(); cancel() }
}

// acquire returns the lane of a phone number ID, open until it is released.
func (s *lanes) acquire(phoneNumberID string) (*lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.get(phoneNumberID)
	if err != nil {
		return nil, err
	}
	l.users++
	return l, nil
}

func (s *lanes) release(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.users--
	if l.users == 0 && s.crowded() {
		l.poke() // to see that it has no work, and make room
	}
}

// idle is after how long a lane without work closes.
func (s *lanes) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowded() {
		return 0
	}
	return laneIdle
}

// crowded reports whether further phone number IDs may soon have to wait for a lane. It
// requires mu held.
func (s *lanes) crowded() bool { return len(s.open) > maxLanes/4*3 }

// poke wakes a phone number ID's lane, opening it if need be. What is no phone number ID, or
// comes when lanes are scarce, is passed over: its task comes in any case, and anybody may poke.
func (s *lanes) poke(phoneNumberID string) {
	if queues.CheckPhoneNumberID(phoneNumberID) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[phoneNumberID] == nil && s.crowded() {
		return
	}
	if l, err := s.get(phoneNumberID); err == nil {
		l.poke()
	}
}

// get requires mu held.
func (s *lanes) get(phoneNumberID string) (*lane, error) {
	if l, ok := s.open[phoneNumberID]; ok {
		return l, nil
	}
	if s.ctx == nil || s.ctx.Err() != nil {
		return nil, errLaneClosed
	}
	if len(s.open) >= maxLanes {
		return nil, errTooManyLanes
	}
	number, ok := s.w.cfg.Resolve(phoneNumberID)
	if !ok {
		number = unserved(phoneNumberID)
	}
	l := newLane(s.w, number)
	s.open[phoneNumberID] = l
	s.wg.Go(func() {
		defer close(l.ended)
		l.run(s.ctx, s.calls, func() bool { return s.retire(l) })
	})
	return l, nil
}

// retire forgets a lane that has no work, unless somebody has just come to use it.
func (s *lanes) retire(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.users > 0 || len(l.wake) > 0 {
		return false
	}
	delete(s.open, l.number.ID)
	s.w.cfg.Metrics.LaneClosed(l.number.ID)
	return true
}

// all returns the lanes that are open.
func (s *lanes) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*lane, 0, len(s.open))
	for _, l := range s.open {
		list = append(list, l)
	}
	return list
}

// wait returns when every lane has ended; no lane opens after the end of start's ctx.
func (s *lanes) wait() {
	s.mu.Lock()   // whoever opens one at this moment has done so, or sees the end
	s.mu.Unlock() //nolint:staticcheck // a barrier
	s.wg.Wait()
}

// after returns a channel that fires when d has passed, and never for d < 0.
func after(d time.Duration) (<-chan time.Time, func() bool) {
	if d < 0 {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(d)
	return t.C, t.Stop
}

package lane

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// Progress counts the users of a task by how they ended.
type Progress struct {
	Result queues.Result
	// Dead are users that were found dead; the worker that settled them may have died before
	// it wrote their dead letters.
	Dead []user.ID
	// Left counts users that have not ended. They are expected to after Delay; Why says what
	// they wait for.
	Left  int
	Delay time.Duration
	Why   string
}

// follower follows the users of a phone number ID's tasks to their ends, for the handlers of these. Safe
// for concurrent use.
type follower struct {
	ledger  *ledger.Ledger
	watches *watches
	marker  *marker
	breaker *verdict.Breaker
	load    *load
	wakeUp  func() // makes the lane look for users to claim
	why     func(ledger.Operation, ledger.Queue) string
	log     *slog.Logger

	elsewhere atomic.Bool   // another worker serves the phone number ID
	ended     chan struct{} // closed when no call is in flight and none will begin
}

func newFollower(l *ledger.Ledger, b *verdict.Breaker, ld *load, wakeUp func(), why func(ledger.Operation, ledger.Queue) string, log *slog.Logger) *follower {
	return &follower{
		ledger: l, watches: newWatches(), marker: newMarker(l), breaker: b, load: ld, wakeUp: wakeUp, why: why, log: log,
		ended: make(chan struct{}),
	}
}

// run serves the marks of handlers, and learns of users that other workers have settled, until ctx
// ends.
func (f *follower) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.marker.run(ctx) })
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.readAgain(ctx)
		}
	}
}

// follow marks the users of a task, wakes the lane, and waits for their ends for as long as that
// is worth a handler.
func (f *follower) follow(ctx context.Context, t queues.Payload, q ledger.Queue) (Progress, error) {
	if t.Operation == ledger.Block {
		f.breaker.WantRoom(t.Version)
	}
	if delay := f.expectedDelay(t.Operation, q); delay >= longWait && time.Since(t.RequestedAt) < delay/2 {
		f.wakeUp()
		return Progress{Left: len(t.Users), Delay: delay, Why: f.reason(t.Operation, q)}, nil // not worth a look yet
	}
	w := f.watches.add(t, q)
	states, err := f.markAndRead(ctx, w, t.Users)
	var rest time.Duration
	if err == nil {
		f.wakeFor(states)
		rest, err = f.restingFor(ctx, w, t.Users, states)
	}
	if err == nil && rest == 0 {
		f.await(ctx, w)
	}
	pr := f.watches.drop(w)
	pr.Delay = f.expectedDelay(t.Operation, q)
	switch {
	case pr.Left == 0:
	case rest > pr.Delay:
		pr.Delay, pr.Why = rest, "they wait for their next attempt"
	default:
		pr.Why = f.reason(t.Operation, q)
	}
	if errors.Is(err, errClosed) {
		err = nil // it stops: those left are deferred
	}
	return pr, err
}

// mark marks the users of a task, wakes the lane, and returns the users that were found dead.
func (f *follower) mark(ctx context.Context, t queues.Payload, q ledger.Queue) ([]user.ID, error) {
	w := f.watches.add(t, q)
	states, err := f.markAndRead(ctx, w, t.Users)
	dead := f.watches.drop(w).Dead
	if err == nil {
		f.wakeFor(states)
	}
	return dead, err
}

// wakeFor wakes the lane unless all users have ended, as those of most single jobs that waited have when their tasks
// come up: finding nothing costs the lane a token, a claim and the token's return. One that is superseded may wait.
func (f *follower) wakeFor(states []ledger.State) {
	if slices.ContainsFunc(states, func(s ledger.State) bool { return !s.Ended() || s == ledger.Superseded }) {
		f.wakeUp()
	}
}

// markAndRead takes in where users of a watch stand, marking them if the ledger does not have them.
func (f *follower) markAndRead(ctx context.Context, w *watch, users []user.ID) ([]ledger.State, error) {
	requests, job := make([]ledger.Request, len(users)), w.job
	if len(users) < w.users {
		job.Part = 0 // some of the part's
	}
	for i, u := range users {
		requests[i] = ledger.Request{User: u, Operation: w.operation, Queue: w.queue, Version: w.version, Job: job}
	}
	states, err := f.marker.mark(ctx, requests)
	if err == nil {
		f.watches.read(w, users, states)
	}
	return states, err
}

// restingFor returns how long none of a task's users can be claimed, as while they wait for their
// next attempt. Users of a new request are in line in any case.
func (f *follower) restingFor(ctx context.Context, w *watch, users []user.ID, states []ledger.State) (time.Duration, error) {
	if time.Since(w.version.Time()).Abs() < newRequest { // by a clock that is behind, most of the last hour is to come
		return 0, nil
	}
	var waiting []user.ID
	for i, s := range states {
		switch s {
		case ledger.Waiting:
			waiting = append(waiting, users[i])
		case ledger.InFlight:
			return 0, nil
		default:
		}
	}
	return f.ledger.RestingFor(ctx, waiting)
}

// readAgain learns of users that other workers have settled.
func (f *follower) readAgain(ctx context.Context) {
	ws, users := f.watches.waiting(ledger.MaxBatch)
	for i, w := range ws {
		if _, err := f.markAndRead(ctx, w, users[i]); err != nil {
			if ctx.Err() == nil {
				f.log.Error("lane: the states of users could not be read", keyError, err.Error())
			}
			return
		}
	}
}

// await waits for the ends of a watch's users, as long as they are to be expected soon.
func (f *follower) await(ctx context.Context, w *watch) {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for range followFor / readEvery {
		if delay := f.expectedDelay(w.operation, w.queue); delay >= longWait {
			return
		}
		select {
		case <-w.done:
			return
		case <-tick.C:
		case <-f.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// reason describes the wait of a user that begins to wait now.
func (f *follower) reason(op ledger.Operation, q ledger.Queue) string {
	if f.elsewhere.Load() {
		return "another worker serves this phone number ID"
	}
	return f.why(op, q)
}

// expectedDelay is about how long a user that begins to wait now will wait.
func (f *follower) expectedDelay(op ledger.Operation, q ledger.Queue) time.Duration {
	now := time.Now()
	if f.elsewhere.Load() {
		return idlePoll
	}
	if s := f.breaker.Status(now); s.State != verdict.Running && (s.State != verdict.Full || op == ledger.Block) {
		return max(s.Wait, longWait)
	}
	return f.load.delay(q, now)
}

// watch follows the users of one task until each has ended. watches.mu guards its last fields.
type watch struct {
	operation ledger.Operation
	queue     ledger.Queue
	version   ledger.Version
	job       ledger.JobRef
	users     int           // of the task
	done      chan struct{} // closed when no user is pending
	pending   map[user.ID]struct{}
	progress  Progress
}

// watches are all watches of a lane, by user. Safe for concurrent use.
type watches struct {
	mu     sync.Mutex
	byUser map[user.ID][]*watch
	all    map[*watch]struct{}
}

func newWatches() *watches {
	return &watches{byUser: map[user.ID][]*watch{}, all: map[*watch]struct{}{}}
}

// add starts a watch, which its caller drops.
func (s *watches) add(t queues.Payload, q ledger.Queue) *watch {
	w := &watch{
		operation: t.Operation, queue: q, version: t.Version, job: t.Job(), users: len(t.Users),
		done: make(chan struct{}), pending: make(map[user.ID]struct{}, len(t.Users)),
	}
	for _, u := range t.Users {
		w.pending[u] = struct{}{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[w] = struct{}{}
	for u := range w.pending {
		s.byUser[u] = append(s.byUser[u], w)
	}
	return w
}

// drop ends a watch, and returns what it has seen and how many users are left.
func (s *watches) drop(w *watch) Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
	for u := range w.pending {
		s.forget(u, w)
	}
	w.progress.Left = len(w.pending)
	return w.progress
}

// forget takes w from the list of u. It requires mu held.
func (s *watches) forget(u user.ID, w *watch) {
	list := s.byUser[u]
	for i, other := range list {
		if other == w {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(s.byUser, u)
		return
	}
	s.byUser[u] = list
}

// read takes in where users of a watch stand by the ledger.
func (s *watches) read(w *watch, users []user.ID, states []ledger.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, u := range users {
		if states[i].Ended() && s.end(w, u, states[i], 0) && states[i] == ledger.Dead {
			w.progress.Dead = append(w.progress.Dead, u)
		}
	}
}

// settled takes in what the ledger made of a call. A watch of an older version is superseded by
// it, one of a newer version goes on.
func (s *watches) settled(u user.ID, version ledger.Version, state ledger.State, code int) {
	if !state.Ended() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range append([]*watch(nil), s.byUser[u]...) {
		switch {
		case w.version == version:
			s.end(w, u, state, code)
		case w.version < version:
			s.end(w, u, ledger.Superseded, 0)
		}
	}
}

// end counts one user's end, once. It requires mu held.
func (s *watches) end(w *watch, u user.ID, state ledger.State, code int) bool {
	if _, waits := w.pending[u]; !waits {
		return false
	}
	delete(w.pending, u)
	s.forget(u, w)
	switch r := &w.progress.Result; state {
	case ledger.Succeeded:
		r.Succeeded++
	case ledger.Superseded:
		r.Superseded++
	case ledger.Canceled:
		r.Canceled++
	default:
		r.DeadLettered++
		if code != 0 {
			r.Add(queues.Result{Codes: map[int]int{code: 1}})
		}
	}
	if len(w.pending) == 0 {
		close(w.done)
	}
	return true
}

// waiting returns up to limit users that watches wait for, to see what other workers have done.
func (s *watches) waiting(limit int) (ws []*watch, users [][]user.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		list := make([]user.ID, 0, min(len(w.pending), limit))
		for u := range w.pending {
			if len(list) == limit {
				break
			}
			list = append(list, u)
		}
		if len(list) > 0 {
			ws, users = append(ws, w), append(users, list)
		}
		if limit -= len(list); limit <= 0 {
			break
		}
	}
	return ws, users
}

package worker

import (
	"sync"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

// watch follows the users of one task until each has ended.
type watch struct {
	operation ledger.Operation
	queue     ledger.Queue
	version   ledger.Version
	// done is closed when no user is left in pending.
	done chan struct{}

	// The rest is the lane's watches' to lock.
	pending map[user.ID]struct{}
	result  queues.Result
	// dead are users that were found dead: whoever made them so may have died before the
	// dead-letter queue had them.
	dead []user.ID
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

// add starts a watch. Whoever adds one drops it.
func (s *watches) add(op ledger.Operation, q ledger.Queue, version ledger.Version, users []user.ID) *watch {
	w := &watch{operation: op, queue: q, version: version, done: make(chan struct{}), pending: make(map[user.ID]struct{}, len(users))}
	for _, u := range users {
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
func (s *watches) drop(w *watch) (r queues.Result, dead []user.ID, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
	for u := range w.pending {
		s.forget(u, w)
	}
	return w.result, w.dead, len(w.pending)
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

// looked tells a watch where its users stand by the ledger.
func (s *watches) looked(w *watch, users []user.ID, states []ledger.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, u := range users {
		if !states[i].Ended() {
			continue
		}
		if states[i] == ledger.Dead && s.end(w, u, states[i], 0) {
			w.dead = append(w.dead, u)
			continue
		}
		s.end(w, u, states[i], 0)
	}
}

// settled tells every watch of a user what the ledger made of a call. A watch of an older
// version is superseded by it, one of a newer version goes on.
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
	switch state {
	case ledger.Succeeded:
		w.result.Succeeded++
	case ledger.Superseded:
		w.result.Superseded++
	default:
		w.result.DeadLettered++
		w.result.Add(codes(code))
	}
	if len(w.pending) == 0 {
		close(w.done)
	}
	return true
}

// codes is one user dead-lettered by an error code, 0 for none.
func codes(code int) queues.Result {
	if code == 0 {
		return queues.Result{}
	}
	return queues.Result{Codes: map[int]int{code: 1}}
}

// waiting returns up to limit requests that watches wait for, for a look at what other
// workers have done.
func (s *watches) waiting(limit int) (ws []*watch, users [][]user.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		if len(w.pending) == 0 {
			continue
		}
		list := make([]user.ID, 0, min(len(w.pending), limit))
		for u := range w.pending {
			if len(list) == limit {
				break
			}
			list = append(list, u)
		}
		ws, users = append(ws, w), append(users, list)
		if limit -= len(list); limit <= 0 {
			break
		}
	}
	return ws, users
}

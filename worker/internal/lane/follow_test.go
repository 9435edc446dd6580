package lane

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/user"
)

func someUsers(t *testing.T, n int) []user.ID {
	t.Helper()
	out := make([]user.ID, n)
	for i := range out {
		var err error
		if out[i], err = user.FromCanonical(fmt.Sprintf("+1650555%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func isDone(w *watch) bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func TestWatchCountsEachEndOnce(t *testing.T) {
	t.Parallel()
	s, users := newWatches(), someUsers(t, 4)
	w := s.add(queues.Payload{Operation: ledger.Block, Version: 10, Users: users}, ledger.Bulk)
	s.settled(users[0], 10, ledger.Succeeded, 0)
	s.settled(users[0], 10, ledger.Succeeded, 0)
	s.settled(users[1], 10, ledger.Waiting, 139103)
	s.settled(users[1], 10, ledger.Dead, 131047)
	s.settled(users[2], 11, ledger.Succeeded, 0) // a newer request's
	s.settled(users[3], 9, ledger.Succeeded, 0)  // an older request's: ours still waits
	if isDone(w) {
		t.Fatal("done with a user left")
	}
	s.read(w, users[3:], []ledger.State{ledger.Dead})
	if !isDone(w) {
		t.Fatal("not done")
	}
	p := s.drop(w)
	want := queues.Result{Succeeded: 1, DeadLettered: 2, Superseded: 1, Codes: map[int]int{131047: 1}}
	if d := cmp.Diff(want, p.Result); d != "" || p.Left != 0 {
		t.Error(d, p.Left)
	}
	if len(p.Dead) != 1 || p.Dead[0] != users[3] {
		t.Errorf("found dead by a reading: %v", p.Dead)
	}
	if len(s.byUser) != 0 || len(s.all) != 0 {
		t.Errorf("left behind: %d users, %d watches", len(s.byUser), len(s.all))
	}
}

func TestWatchesOfOneUser(t *testing.T) {
	t.Parallel()
	s, users := newWatches(), someUsers(t, 1)
	older := s.add(queues.Payload{Operation: ledger.Block, Version: 10, Users: users}, ledger.Bulk)
	newer := s.add(queues.Payload{Operation: ledger.Unblock, Version: 20, Users: users}, ledger.Bulk)
	s.settled(users[0], 20, ledger.Succeeded, 0)
	if !isDone(older) || !isDone(newer) {
		t.Fatal("not done")
	}
	if r := s.drop(older).Result; r.Superseded != 1 {
		t.Errorf("older: %+v", r)
	}
	if r := s.drop(newer).Result; r.Succeeded != 1 {
		t.Errorf("newer: %+v", r)
	}
}

func TestDropForgetsWhatStillWaits(t *testing.T) {
	t.Parallel()
	s, users := newWatches(), someUsers(t, 2)
	w := s.add(queues.Payload{Operation: ledger.Block, Version: 10, Users: users}, ledger.Bulk)
	if ws, waiting := s.waiting(1); len(ws) != 1 || len(waiting[0]) != 1 {
		t.Errorf("waiting, at most one: %v", waiting)
	}
	if left := s.drop(w).Left; left != 2 {
		t.Errorf("%d left", left)
	}
	if len(s.byUser) != 0 {
		t.Error("users left behind")
	}
	s.settled(users[0], 10, ledger.Succeeded, 0)
}

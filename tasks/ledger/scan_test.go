package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestScan(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const many = 3000 // several steps
		v := f.version()
		for from := 0; from < many; from += ledger.MaxBatch {
			users := make([]user.ID, ledger.MaxBatch)
			for i := range users {
				users[i] = num(t, from+i)
			}
			f.mark(ledger.Block, ledger.Bulk, v, users...)
		}
		f.spoil("not a user", "garbage")
		f.spoil(num(t, 9999).Reveal(), "garbage")
		seen := map[user.ID]bool{}
		for e, err := range f.Scan(t.Context()) {
			unreadable := e.User == num(t, 9999) && e.State == ledger.Unknown
			if err != nil || !unreadable && (e.Version != v || e.State != ledger.Waiting) {
				t.Fatalf("%+v, %v", e, err)
			}
			seen[e.User] = true
		}
		if len(seen) != many+1 || !seen[num(t, 9999)] {
			t.Errorf("saw %d of %d", len(seen), many)
		}
		for range f.Scan(t.Context()) {
			break // a caller may have seen enough
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var last error
		for _, last = range f.Scan(ctx) {
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("cancelled: %v", last)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		end := func(op ledger.Operation, verdict ledger.Disposition, users ...user.ID) {
			f.mark(op, ledger.Bulk, f.version(), users...)
			f.settle(f.claim(9, ""), ledger.Settlement{Do: verdict})
		}
		const blocked, dead, unblocked, changed, waiting, held = 1, 2, 3, 4, 5, 6
		end(ledger.Block, ledger.Succeed, num(t, blocked))
		end(ledger.Unblock, ledger.Kill, num(t, dead))
		end(ledger.Unblock, ledger.Succeed, num(t, unblocked), num(t, changed), num(t, waiting), num(t, held))
		all := f.entries(blocked, dead, unblocked, changed, waiting, held)

		end(ledger.Unblock, ledger.Succeed, num(t, changed))
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, held))
		f.claim(1, "")
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, waiting))

		n, err := f.Forget(t.Context(), all)
		if err != nil || n != 1 {
			t.Errorf("forgot %d, %v", n, err)
		}
		var left []ledger.State
		for _, e := range f.entries(blocked, dead, unblocked, changed, waiting, held) {
			left = append(left, e.State)
		}
		want := []ledger.State{ledger.Succeeded, ledger.Dead, ledger.Unknown, ledger.Succeeded, ledger.Waiting, ledger.InFlight}
		if d := cmp.Diff(want, left); d != "" {
			t.Error(d)
		}
	})
}

func (f *fixture) entries(ns ...int) []ledger.Entry {
	f.t.Helper()
	users := make([]user.ID, len(ns))
	for i, n := range ns {
		users[i] = num(f.t, n)
	}
	entries, err := f.Entries(f.t.Context(), users)
	if err != nil {
		f.t.Fatal(err)
	}
	return entries
}

func TestForgettable(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1e12)
	fine := ledger.Entry{State: ledger.Succeeded, Operation: ledger.Unblock, SettledAt: at}
	busy, blocked, dead := fine, fine, fine
	busy.Busy, blocked.Operation, dead.State = true, ledger.Block, ledger.Dead
	for name, c := range map[string]struct {
		entry ledger.Entry
		when  time.Time
		want  bool
	}{
		"old":     {fine, at.Add(1), true},
		"recent":  {fine, at, false},
		"busy":    {busy, at.Add(1), false},
		"blocked": {blocked, at.Add(1), false},
		"dead":    {dead, at.Add(1), false},
	} {
		if got := c.entry.Forgettable(c.when); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		v1, v2 := f.version(), f.version()
		f.mark(ledger.Unblock, ledger.Bulk, v2, num(t, 1))
		f.mark(ledger.Unblock, ledger.Bulk, v1, num(t, 2))
		f.mark(ledger.Block, ledger.Interactive, v2, num(t, 3))
		b, err := f.Backlog(t.Context())
		if d := cmp.Diff(ledger.Backlog{Interactive: 1, Bulk: 2, NextDue: -time.Millisecond, Oldest: v1}, b); d != "" || err != nil {
			t.Errorf("%v, %s", err, d)
		}
		f.claim(1, ledger.Block)
		f.expire()
		b, err = f.Backlog(t.Context())
		if d := cmp.Diff(ledger.Backlog{Bulk: 2, Later: 1, Oldest: v1}, b); d != "" || err != nil {
			t.Errorf("%v, %s", err, d)
		}
	})
}

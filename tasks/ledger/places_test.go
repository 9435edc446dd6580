package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		old := f.version()
		f.mark(ledger.Block, ledger.Bulk, old, num(t, 1), num(t, 2), num(t, 3))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 4))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 5))
		late := f.version()
		f.mark(ledger.Block, ledger.Bulk, late, num(t, 6))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1)) // it keeps its place
		f.mark(ledger.Block, ledger.Reconcile, f.version(), num(t, 7))
		c := f.claim(1, "") // of the fifth, which is put off
		f.settle(c, ledger.Settlement{Do: ledger.Wait, Delay: time.Minute})
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 8))
		users := []user.ID{num(t, 7), num(t, 6), num(t, 5), num(t, 4), num(t, 3), num(t, 1), num(t, 8), num(t, 9)}
		entries, err := f.Entries(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		places, now, err := f.Places(t.Context(), entries)
		if err != nil || time.Since(now).Abs() > time.Minute {
			t.Fatal(now, err)
		}
		var got []string
		for i, p := range places {
			due := "-"
			if !p.Due.IsZero() {
				due = p.Due.Sub(now).Round(30 * time.Second).String()
			}
			got = append(got, fmt.Sprintf("%s %v %d+%d %s", users[i].Reveal()[8:], p.InLine, p.Ahead.Block, p.Ahead.Unblock, due))
		}
		want := []string{
			"0007 true 6+1 -", "0006 true 5+1 -", "0005 false 0+0 1m0s", "0004 true 4+1 -",
			"0003 true 4+0 -", "0001 true 4+0 -", "0008 true 1+0 -", "0009 false 0+0 -",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		ahead, _, err := f.AheadOf(t.Context(), []ledger.Point{{Queue: ledger.Bulk, Version: late}, {Queue: ledger.Bulk, Version: old}, {Queue: ledger.Interactive, Version: 1}})
		if err != nil || !slices.Equal(ahead, []ledger.Ahead{{Block: 5, Unblock: 1}, {Block: 4}, {}}) {
			t.Errorf("ahead of a request: %v, %v", ahead, err)
		}
	})
}

// TestPlacesOfMany: counts of many places are as good as one of each, but for few users.
func TestPlacesOfMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var requests []ledger.Request
		var users []user.ID
		for i := range 1000 {
			users = append(users, num(t, i))
			requests = append(requests, ledger.Request{User: num(t, i), Operation: ledger.Block, Queue: ledger.Bulk, Version: ledger.Version(1000 + i)})
		}
		if _, err := f.Mark(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
		entries, err := f.Entries(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		places, _, err := f.Places(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range places {
			if n := p.Ahead.Sum(); n < i+1 || n > i+10 {
				t.Errorf("%d of %d has %d in front of it and with it", i, len(places), n)
			}
		}
	})
}

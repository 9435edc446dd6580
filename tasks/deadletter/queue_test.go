package deadletter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/taskfixture"
)

var ignoreID = cmpopts.IgnoreFields(deadletter.Letter{}, "ID")

func (f *fixture) get(n int) (deadletter.Letter, bool) {
	f.Helper()
	return taskfixture.Letter(f, f.dead, phoneNumberID, num(n))
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		want := letter(1, 10)
		f.put(want, letter(2, 10))
		got, ok := f.get(1)
		if diff := cmp.Diff(want, got, compareIDs, ignoreID); !ok || diff != "" {
			t.Fatal(ok, diff)
		}
		info := f.Task(queues.DeadLetter, got.ID)
		if info.NextProcessAt.Year() < 2098 || info.Type != queues.TypeDeadLetter {
			t.Errorf("%s at %v", info.Type, info.NextProcessAt)
		}
		if !strings.HasPrefix(got.ID, phoneNumberID+":") || strings.Contains(got.ID, num(1).Reveal()[1:]) {
			t.Errorf("task ID %s", got.ID)
		}
		for id, want := range map[string]bool{got.ID: true, "": false, got.ID[1:]: true, got.ID[:len(got.ID)-1]: false, got.ID + "a": false, "x" + got.ID: false, got.ID + "\n": false} {
			if deadletter.IsID(id) != want {
				t.Errorf("IsID(%q) = %v", id, !want)
			}
		}
		if _, ok := f.get(3); ok {
			t.Error("found an entry that was never put")
		}
	})
}

func TestPutKeepsTheNewest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, v := range []ledger.Version{10, 12, 11, 12, 5} {
			f.put(letter(1, v))
		}
		f.put(letter(2, 7), letter(2, 9), letter(2, 8))
		if n := f.count(); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
		for n, want := range map[int]ledger.Version{1: 12, 2: 9} {
			if e, _ := f.get(n); e.Version != want {
				t.Errorf("user %d: version %d, want %d", n, e.Version, want)
			}
		}
	})
}

func TestPutReplacesWhateverItsState(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.put(letter(1, 1), letter(2, 1))
		run, _ := f.get(1)
		archived, _ := f.get(2)
		if err := f.Inspector.RunTask(queues.DeadLetter, run.ID); err != nil {
			t.Fatal(err)
		}
		if err := f.Inspector.ArchiveTask(queues.DeadLetter, archived.ID); err != nil {
			t.Fatal(err)
		}
		f.put(letter(1, 2), letter(2, 2))
		for _, e := range f.all(deadletter.Filter{}) {
			if info := f.Task(queues.DeadLetter, e.ID); e.Version != 2 || info.NextProcessAt.Year() < 2098 {
				t.Errorf("version %d, %v", e.Version, info.State)
			}
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.put(letter(1, 1), letter(2, 1))
		if err := f.dead.Remove(t.Context(), phoneNumberID, nums(2000)[1:]...); err != nil {
			t.Fatal(err)
		}
		if got := f.all(deadletter.Filter{}); len(got) != 0 {
			t.Errorf("%d entries are left", len(got))
		}
		if n := must(f.Redis.SCard(t.Context(), "wablock:{"+phoneNumberID+"}:dead").Result())(t); n != 0 {
			t.Errorf("%d users are left in the index", n)
		}
		f.put(letter(1, 2))
		if _, ok := f.get(1); !ok {
			t.Error("not found after it was put again")
		}
	})
}

func TestTheLedgerDecides(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		died := f.die(ledger.Block, num(1), num(2), num(3))
		f.succeed(ledger.Block, num(1))
		newer := f.die(ledger.Unblock, num(3))
		f.Mark(ledger.Unblock, num(2)) // last: it stays waiting
		// A worker that was stopped in between puts all three at last.
		f.put(letter(1, died), letter(2, died), letter(3, died))
		if _, ok := f.get(1); ok {
			t.Error("an entry of a user that succeeded since")
		}
		if e, ok := f.get(2); !ok || e.Version != died {
			t.Error("no entry of a user that waits")
		}
		if e, _ := f.get(3); e.Version != newer || e.Operation != ledger.Unblock || e.Code != 131047 {
			t.Errorf("the entry of a user that died again has version %d of %s", e.Version, e.Operation)
		}
		// So does one that removes for an earlier success.
		if err := f.dead.Remove(t.Context(), phoneNumberID, num(3)); err != nil {
			t.Fatal(err)
		}
		if e, ok := f.get(3); !ok || e.Version != newer {
			t.Error("a late removal took the entry of a later failure")
		}
	})
}

func TestEntriesOutliveALostKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.put(letter(1, 1))
		if err := f.Redis.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		f.put(letter(2, 1))
		other := deadletter.New(f.Redis) // another process
		if _, ok := taskfixture.Letter(t, other, phoneNumberID, num(2)); !ok {
			t.Error("not found after the data was lost")
		}
		registered, err := f.Inspector.Queues()
		if diff := cmp.Diff([]string{queues.DeadLetter}, registered); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
}

// The last failure is timed by the worker's clock, the first by Redis's.
func TestDeadLetterNeverFailsLastBeforeFirst(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, apart := range []time.Duration{-time.Hour, -time.Millisecond, 0, time.Second} {
		d := deadletter.Of(phoneNumberID, ledger.Entry{User: num(1), FirstFailedAt: first, SettledAt: first.Add(apart)})
		if want := first.Add(max(apart, 0)); !d.FirstFailedAt.Equal(first) || !d.LastFailedAt.Equal(want) {
			t.Errorf("%v apart: from %v to %v", apart, d.FirstFailedAt, d.LastFailedAt)
		}
	}
}

package deadletter_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const indexKey = "wablock:{" + phoneNumberID + "}:dead"

// has fails the test unless the dead-letter queue and its index hold these users alone.
func (f *fixture) has(users ...user.ID) {
	f.Helper()
	want := make([]string, len(users))
	for i, u := range users {
		want[i] = u.Reveal()
	}
	slices.Sort(want)
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(f.all(deadletter.Filter{PhoneNumberID: phoneNumberID})))); d != "" {
		f.Errorf("entries: %s", d)
	}
	index := must(f.Redis.SMembers(f.Context(), indexKey).Result())(f)
	slices.Sort(index)
	if d := cmp.Diff(want, index); d != "" {
		f.Errorf("index: %s", d)
	}
}

// TestSyncRemoves: users succeeded, or were discarded, and the process that should have removed
// their letters died before it could.
func TestSyncRemoves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		if n := must(f.dead.Sync(t.Context(), phoneNumberID))(t); n != (deadletter.Synced{}) {
			t.Errorf("changed entries of none: %+v", n)
		}
		var v ledger.Version
		for _, u := range nums(5) { // 0 stays dead, 1 is discarded, 2 waits, 3 and 4 succeed
			v = f.fail(ledger.Block, int(u.Reveal()[11]-'0'))
			if u == num(1) {
				must(f.Ledger.Discard(t.Context(), u, v))(t)
			}
		}
		f.succeed(ledger.Unblock, num(3), num(4))
		f.Mark(ledger.Unblock, num(2))
		other := letter(9, v)
		other.PhoneNumberID = "7" // unknown to the ledger
		f.put(other, deadletter.NewMalformed("t", "bulk", "id", []byte("x"), queues.ErrMalformed))
		if n := must(f.dead.Sync(t.Context()))(t); n != (deadletter.Synced{Removed: 3}) {
			t.Errorf("%+v", n)
		}
		f.has(num(0), num(2))
		if n := f.count(); n != 4 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// TestSyncYieldsToALatePut lets a user who had succeeded die anew, just when that has been seen.
func TestSyncYieldsToALatePut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 0)
		f.succeed(ledger.Unblock, num(0))
		looked := false
		f.Redis.(*redis.Client).AddHook(&redistest.Hook{Lose: func(cmd redis.Cmder) bool {
			if cmd.Name() == "hmget" && redistest.Touches(cmd, "wablock:{"+phoneNumberID+"}:users") && !looked {
				looked = true
				f.fail(ledger.Block, 0)
			}
			return false
		}})
		must(f.dead.Sync(t.Context()))(t)
		if !looked {
			t.Error("the ledger was not asked")
		}
		f.has(num(0))
	})
}

// TestSyncPuts: users are dead, and the process that should have put their letters died before it
// could.
func TestSyncPuts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 0)
		f.die(ledger.Block, num(1))
		f.die(ledger.Block, num(2))
		f.die(ledger.Block, num(3))
		f.succeed(ledger.Block, num(3))
		for _, want := range []deadletter.Synced{{Put: 2}, {}} {
			if n := must(f.dead.Sync(t.Context(), phoneNumberID))(t); n != want {
				t.Errorf("%+v, want %+v", n, want)
			}
			f.has(nums(3)...)
		}
		if e := f.all(deadletter.Filter{})[num(1).Reveal()]; e.Code != 131047 || e.Version == 0 {
			t.Errorf("%+v", e)
		}
	})
}

// TestSyncFindsEntriesWithoutIndex: a failover has lost the index alone.
func TestSyncFindsEntriesWithoutIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 0)
		f.fail(ledger.Block, 1)
		f.succeed(ledger.Unblock, num(1))
		must(f.Redis.Del(t.Context(), indexKey).Result())(t)
		for _, want := range []deadletter.Synced{{Removed: 1}, {}} {
			if n := must(f.dead.Sync(t.Context(), phoneNumberID))(t); n != want {
				t.Errorf("%+v, want %+v", n, want)
			}
			f.has(num(0))
		}
	})
}

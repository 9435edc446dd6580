package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// lose lets a claim be lost, as a failover does that loses the last second, a process that was
// stopped, or a clock that was set forward: its users wait again while its call is out.
func (f *fixture) lose(c ledger.Claim) {
	f.t.Helper()
	f.expire()
	if again, err := f.Claim(f.t.Context(), ledger.ClaimOptions{ID: "sweeps-" + c.ID, Timeout: time.Minute}); err != nil || len(again.Users) > 0 {
		f.t.Fatalf("%+v, %v", again, err)
	}
}

func (f *fixture) entry(u user.ID) ledger.Entry {
	f.t.Helper()
	all, err := f.Entries(f.t.Context(), []user.ID{u})
	if err != nil {
		f.t.Fatal(err)
	}
	return all[0]
}

// TestLateCall lets a block end whose claim was lost, when its user has been unblocked since, or
// is about to be.
func TestLateCall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice := num(t, 1)
		succeed := func(op ledger.Operation) ledger.Settlement {
			return ledger.Settlement{Do: ledger.Succeed, Effect: op}
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), alice)
		late := f.claim(1, "")
		f.lose(late)
		f.settle(f.claim(1, ""), succeed(ledger.Block))
		newer := f.version()
		f.mark(ledger.Unblock, ledger.Bulk, newer, alice)
		f.settle(f.claim(1, ""), succeed(ledger.Unblock))

		// A call that the API refused has undone nothing.
		if s := f.settle(late, ledger.Settlement{Do: ledger.Kill})[0]; s.Repeats || s.State != ledger.Superseded {
			t.Errorf("a refused call: %+v", s)
		}
		if e := f.entry(alice); e.State != ledger.Succeeded {
			t.Errorf("after a refused call: %+v", e)
		}
		for range 2 { // the second time because the reply got lost
			s := f.settle(late, succeed(ledger.Block))[0]
			if s.State != ledger.Superseded {
				t.Errorf("a late call: %+v", s)
			}
			if e := f.entry(alice); e.State != ledger.Waiting || e.Version != newer || e.Operation != ledger.Unblock {
				t.Errorf("after a late call: %+v", e)
			}
		}
		repair := f.claim(1, "")
		if len(repair.Users) != 1 || repair.Operation != ledger.Unblock {
			t.Fatalf("no call follows: %+v", repair)
		}
		// One that ends while that call is out may have come after it.
		if s := f.settle(late, ledger.Settlement{Do: ledger.Retry, Effect: ledger.Block})[0]; !s.Repeats {
			t.Errorf("beside a call: %+v", s)
		}
		if s := f.settle(repair, succeed(ledger.Unblock))[0]; s.State != ledger.Unknown {
			t.Errorf("the call beside which it ended counts: %+v", s)
		}
		if c := f.claim(1, ""); len(c.Users) != 0 {
			t.Fatalf("claimed while the other call may be out: %+v", c)
		}
		f.expire()
		last := f.claim(1, "")
		if s := f.settle(last, succeed(ledger.Unblock))[0]; s.State != ledger.Succeeded || s.Repeats {
			t.Errorf("%+v", s)
		}
		// The same operation late does no harm.
		if s := f.settle(repair, succeed(ledger.Unblock))[0]; s.Repeats || s.State != ledger.Succeeded {
			t.Errorf("%+v", s)
		}
	})
}

// TestLateCallWhenRedisIsFull mends what a late call did in a Redis that refuses to grow.
func TestLateCallWhenRedisIsFull(t *testing.T) {
	t.Parallel()
	f := setup(t, redistest.Real(t))
	f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
	late := f.claim(1, "")
	f.lose(late)
	f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
	f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Unblock})
	if err := f.rdb.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	if s := f.settle(late, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})[0]; !s.Repeats {
		t.Errorf("%+v", s)
	}
}

// at returns a miniredis, set to a time, with a ledger.
func at(t *testing.T, now time.Time) (*miniredis.Miniredis, *fixture) {
	t.Helper()
	server, rdb := redistest.Mini(t)
	server.SetTime(now)
	return server, setup(t, rdb)
}

// TestClockIsSetBack lets users wait for a second attempt, and in flight, when the clock goes back
// by an hour: they are claimed within the claim's length, not after an hour.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server, f := at(t, now)
	f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1), num(t, 2))
	f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Retry, Delay: 2 * time.Second})
	f.claim(1, "") // whose worker dies
	before := f.version()

	now = now.Add(-time.Hour)
	server.SetTime(now)
	if b, err := f.Backlog(t.Context()); err != nil || b.Later != 2 || b.NextDue != 0 {
		t.Errorf("no worker looks: %+v, %v", b, err)
	}
	if c := f.claim(2, ""); len(c.Users) != 0 || c.Backlog.NextDue != 10*time.Minute {
		t.Errorf("claimed while a call may be out: %+v", c)
	}
	server.SetTime(now.Add(10 * time.Minute))
	if c := f.claim(2, ""); len(c.Users) != 2 {
		t.Errorf("%+v", c)
	}
	if v := f.version(); v <= before {
		t.Errorf("version %d after %d", v, before)
	}
}

// TestClockIsSetBackUnderAHold lets the hold of a process that died end in time.
func TestClockIsSetBackUnderAHold(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		// What a hold of 15 s looks like when the clock has gone back by an hour.
		if err := rdb.Set(t.Context(), "wablock:{"+phoneNumberID+"}:hold", "dead", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if c := f.claim(1, ""); len(c.Users) != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// TestClockIsSetForward lets all claims be lost at once while a call is out, and the opposite go
// out beside it: one more call follows.
func TestClockIsSetForward(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server, f := at(t, now)
	f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
	late := f.claim(1, "")
	server.SetTime(now.Add(time.Hour))
	f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
	f.claim(0, "") // lets deadlines pass
	f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Unblock})
	if s := f.settle(late, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})[0]; !s.Repeats {
		t.Errorf("%+v", s)
	}
	if c := f.claim(1, ""); len(c.Users) != 1 || c.Operation != ledger.Unblock {
		t.Errorf("%+v", c)
	}
}

// TestVersionsRiseAfterALostCounter loses the version counter, as a failover may, to a host whose
// clock is behind: what is asked for after an older request was marked again is still newer.
func TestVersionsRiseAfterALostCounter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server, f := at(t, now)
	older := f.version()
	server.SetTime(now.Add(-time.Minute))
	f.rdb.Del(t.Context(), "wablock:{"+phoneNumberID+"}:version")
	f.mark(ledger.Block, ledger.Bulk, older, num(t, 1)) // by its task
	f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
	if e := f.entry(num(t, 1)); e.Operation != ledger.Unblock {
		t.Errorf("%+v", e)
	}
	f.mark(ledger.Block, ledger.Bulk, 1<<53, num(t, 2)) // another program's: it must not spoil the counter
	if v := f.version(); v.Time().After(now.Add(time.Hour)) {
		t.Errorf("version %d", v)
	}
}

// TestNewerFormatIsKept reads and changes a record that a newer program wrote.
func TestNewerFormatIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice := num(t, 1)
		more := func() string {
			t.Helper()
			line, err := f.rdb.HGet(t.Context(), usersKey, alice.Reveal()).Result()
			if err != nil {
				t.Fatal(err)
			}
			return line
		}
		v := f.version()
		for state, want := range map[string]string{"s": "n", "p": "n"} {
			f.spoil(alice.Reveal(), "u "+state+" b 0 9007199254740000 - - 0 0 3 until=5\n{\"code\":1}")
			if got := f.mark(ledger.Block, ledger.Bulk, v, alice); got != want {
				t.Errorf("state %s: an older request won over a newer program's: %s", state, got)
			}
			if e := f.entry(alice); e.Version != 9007199254740000 || e.Operation != ledger.Unblock || e.Failure == nil {
				t.Errorf("state %s: %+v", state, e)
			}
		}
		f.spoil(alice.Reveal(), "u p b 0 5 - - 0 0 3 until=5")
		f.mark(ledger.Block, ledger.Bulk, v, alice)
		c := f.claim(1, "")
		f.settle(c, ledger.Settlement{Do: ledger.Retry, Failure: &ledger.Failure{Code: 1}})
		if line := more(); line[:7] != "b w b 1" || !strings.Contains(line, " 3 until=5\n{") {
			t.Errorf("%q", line)
		}
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed})
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), alice)
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Succeed})
		if n, err := f.Forget(t.Context(), f.entries(1)); n != 0 || err != nil || !strings.Contains(more(), " 3 until=5") {
			t.Errorf("forgot %d, %v; %q", n, err, more())
		}
	})
}

package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestRetryWaitDead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v := num(t, 1), f.version()
		f.mark(ledger.Block, ledger.Interactive, v, alice)
		failure := &ledger.Failure{Code: 139103, Message: "Internal error\nline two", At: 7}

		s := f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Retry, Delay: 10 * time.Minute, Failure: failure})
		if s[0].State != ledger.Waiting || s[0].Attempts != 1 || s[0].FirstFailedAt.IsZero() {
			t.Errorf("retry: %+v", s)
		}
		first := s[0].FirstFailedAt
		c := f.claim(1, "")
		if len(c.Users) != 0 || c.Backlog.Later != 1 || c.Backlog.NextDue < 9*time.Minute {
			t.Errorf("before the delay has passed: %+v", c)
		}
		f.expire()
		c = f.claim(1, "")
		if len(c.Users) != 1 || c.Users[0].Attempts != 1 {
			t.Fatalf("after the delay: %+v", c)
		}
		if s = f.settle(c, ledger.Settlement{Do: ledger.Wait}); s[0].Attempts != 1 || s[0].State != ledger.Waiting {
			t.Errorf("wait: %+v", s)
		}
		s = f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: failure})
		if s[0].State != ledger.Dead || s[0].Attempts != 2 || !s[0].FirstFailedAt.Equal(first) {
			t.Errorf("dead: %+v", s)
		}
		e, err := f.Entries(t.Context(), []user.ID{alice})
		if err != nil || *e[0].Failure != *failure || e[0].State != ledger.Dead {
			t.Errorf("entry: %+v, %v", e, err)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v, alice); got != "d" {
			t.Errorf("looked at: %q", got)
		}
		if ok, err := f.Discard(t.Context(), alice, v-1); ok || err != nil {
			t.Errorf("discard of another version: %v, %v", ok, err)
		}
		if ok, err := f.Discard(t.Context(), alice, v); !ok || err != nil {
			t.Errorf("discard: %v, %v", ok, err)
		}
		if ok, err := f.Discard(t.Context(), alice, v); ok || err != nil {
			t.Errorf("discard again: %v, %v", ok, err)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v, alice); got != "x" {
			t.Errorf("looked at after discard: %q", got)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, f.version(), alice); got != "w" {
			t.Errorf("asked again: %q", got)
		}
		if e, _ := f.Entries(t.Context(), []user.ID{alice}); e[0].Attempts != 0 || e[0].Failure != nil {
			t.Errorf("a new version starts afresh: %+v", e[0])
		}
	})
}

func TestLostClaimWritesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1), num(t, 2))
		lost := f.claim(2, "")
		f.expire()
		held := f.claim(1, "")
		if len(held.Users) != 1 {
			t.Fatalf("after the deadline: %+v", held)
		}
		for _, s := range f.settle(lost, ledger.Settlement{Do: ledger.Kill}) {
			if s.State != ledger.Unknown {
				t.Errorf("a lost claim settled: %+v", s)
			}
		}
		states, err := f.Renew(t.Context(), lost.ID, lost.Users, 10*time.Minute, "")
		if err != nil || states[0] != ledger.Unknown || states[1] != ledger.Unknown {
			t.Errorf("a lost claim was renewed: %v, %v", states, err)
		}
		if s := f.settle(held, ledger.Settlement{Do: ledger.Succeed}); s[0].State != ledger.Succeeded {
			t.Errorf("the claim that holds: %+v", s)
		}
	})
}

func TestRenewDropsTheSuperseded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1), num(t, 2))
		c := f.claim(2, "")
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 2))
		states, err := f.Renew(t.Context(), c.ID, c.Users, 10*time.Minute, "")
		if err != nil || states[0] != ledger.InFlight || states[1] != ledger.Superseded {
			t.Errorf("%v, %v", states, err)
		}
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ""))); d != "" {
			t.Error(d)
		}
	})
}

// A settlement whose reply got lost is repeated by the Redis client, and must then hear what
// came of it: a dead user has yet to be put among the dead letters.
func TestSettleTwice(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[ledger.Disposition]ledger.State{
		ledger.Succeed: ledger.Succeeded, ledger.Kill: ledger.Dead, ledger.Retry: ledger.Unknown, ledger.Wait: ledger.Unknown,
	} {
		each(t, func(t *testing.T, f *fixture) {
			f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
			c := f.claim(1, "")
			first := f.settle(c, ledger.Settlement{Do: verdict, Delay: time.Hour})
			again := f.settle(c, ledger.Settlement{Do: verdict, Delay: time.Hour})
			if again[0].State != want {
				t.Errorf("%c: %+v", verdict, again)
			}
			if want != ledger.Unknown && again[0] != first[0] {
				t.Errorf("%c: %+v, then %+v", verdict, first, again)
			}
			e, err := f.Entries(t.Context(), []user.ID{num(t, 1)})
			if err != nil || e[0].Attempts != first[0].Attempts {
				t.Errorf("%c: %+v, %v", verdict, e, err)
			}
		})
	}
}

func TestLongFailureIsCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{
			Code: 100, Message: strings.Repeat("é", 5000),
		}})
		e, err := f.Entries(t.Context(), []user.ID{num(t, 1)})
		if err != nil || e[0].Failure == nil {
			t.Fatalf("%+v, %v", e, err)
		}
		if n := len(e[0].Failure.Message); n < 1000 || n > 1100 {
			t.Errorf("%d bytes", n)
		}
	})
}

// TestClaimTellsWhoTimedOut: the size of the call that timed out last goes with its users, until another failure or a
// newer request.
func TestClaimTellsWhoTimedOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice := num(t, 1)
		company := func(want int) ledger.Claim {
			t.Helper()
			c := f.claim(1, "")
			if len(c.Users) != 1 || c.Users[0].Company != want {
				t.Fatalf("%+v, want a company of %d", c, want)
			}
			return c
		}
		f.mark(ledger.Block, ledger.Interactive, f.version(), alice)
		f.settle(company(0), ledger.Settlement{Do: ledger.Retry, Failure: &ledger.Failure{Message: `"company":3`, Company: 201}})
		f.settle(company(201), ledger.Settlement{Do: ledger.Wait})
		f.settle(company(201), ledger.Settlement{Do: ledger.Wait, Failure: &ledger.Failure{Message: `"company":3`, Code: 1}})
		f.settle(company(0), ledger.Settlement{Do: ledger.Retry, Failure: &ledger.Failure{Company: 1}})
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), alice)
		company(0)
	})
}

// TestClaimTellsWhoWasLimited: when the last call was refused for its rate, and for how long, goes with its users.
func TestClaimTellsWhoWasLimited(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice := num(t, 1)
		limited := func(at, pause int64) ledger.Claim {
			t.Helper()
			c := f.claim(1, "")
			if len(c.Users) != 1 || c.Users[0].Limited != at || c.Users[0].Paused != pause {
				t.Fatalf("%+v, want limited at %d for %d", c, at, pause)
			}
			return c
		}
		f.mark(ledger.Block, ledger.Interactive, f.version(), alice)
		f.settle(limited(0, 0), ledger.Settlement{Do: ledger.Wait, Failure: &ledger.Failure{Message: `"limited":3`, Limited: 1_764_180_000_123, Paused: 30_000}})
		f.settle(limited(1_764_180_000_123, 30_000), ledger.Settlement{Do: ledger.Wait})
		f.settle(limited(1_764_180_000_123, 30_000), ledger.Settlement{Do: ledger.Wait, Failure: &ledger.Failure{Message: `"limited":3`, Limited: 7}})
		f.settle(limited(7, 0), ledger.Settlement{Do: ledger.Retry, Failure: &ledger.Failure{Code: 1}})
		limited(0, 0)
	})
}

// TestSettleEqualRecords settles users whose records are equal, as those of a job's new users are, each in a way of its own.
func TestSettleEqualRecords(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		users := make([]user.ID, 6)
		for i := range users {
			users[i] = num(t, i)
		}
		v := f.job("j", ledger.Block, len(users), 1)
		if got := f.markPart(ledger.Block, v, 1, users...); got != "wwwwww" {
			t.Fatalf("marked %s", got)
		}
		c := f.claim(len(users), "")
		failure := &ledger.Failure{Code: 131047}
		settlements := []ledger.Settlement{
			{Do: ledger.Succeed, WaID: "491"},
			{Do: ledger.Retry, Failure: failure, Delay: time.Minute},
			{Do: ledger.Succeed, WaID: "492"},
			{Do: ledger.Kill, Failure: failure},
			{Do: ledger.Retry, Failure: failure, Delay: time.Minute},
			{Do: ledger.Succeed},
		}
		for i := range settlements {
			s := &settlements[i]
			s.User, s.Version, s.Effect = c.Users[i].User, v, ledger.Block
		}
		settled, err := f.Settle(t.Context(), c.ID, settlements)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := f.Entries(t.Context(), users)
		if err != nil {
			t.Fatal(err)
		}
		var states strings.Builder
		for i, e := range entries {
			if s := settled[i]; s.Attempts != e.Attempts || s.State != e.State {
				t.Errorf("user %d: %+v, and the record says %v after %d attempts", i, s, e.State, e.Attempts)
			}
			if e.WaID != settlements[i].WaID || e.Busy {
				t.Errorf("user %d: %+v", i, e)
			}
			states.WriteByte(byte(e.State))
		}
		if states.String() != "swsdws" || entries[1].Attempts != 1 || entries[4].Attempts != 1 {
			t.Errorf("%s, %+v", states.String(), entries)
		}
		f.wantCounts("j", ledger.Counts{Succeeded: 3, Dead: 1, Codes: map[int]int{131047: 1}}, 2)
	})
}

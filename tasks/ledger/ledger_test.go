package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = "106540352242922"

func num(t testing.TB, n int) user.ID {
	t.Helper()
	id, err := user.FromCanonical(fmt.Sprintf("+1650555%04d", n))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// fixture is a ledger with what most tests do with one.
type fixture struct {
	*ledger.Ledger
	t      testing.TB
	rdb    redis.UniversalClient
	claims int
}

func setup(t testing.TB, rdb redis.UniversalClient) *fixture {
	return &fixture{Ledger: ledger.New(rdb, phoneNumberID), t: t, rdb: rdb}
}

func (f *fixture) version() ledger.Version {
	f.t.Helper()
	v, err := f.NextVersion(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *fixture) mark(op ledger.Operation, q ledger.Queue, v ledger.Version, users ...user.ID) string {
	f.t.Helper()
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{User: u, Operation: op, Queue: q, Version: v}
	}
	states, err := f.Mark(f.t.Context(), requests)
	if err != nil {
		f.t.Fatal(err)
	}
	var letters strings.Builder
	for _, s := range states {
		letters.WriteByte(byte(s))
	}
	return letters.String()
}

func (f *fixture) claim(limit int, only ledger.Operation) ledger.Claim {
	f.t.Helper()
	f.claims++
	c, err := f.Claim(f.t.Context(), ledger.ClaimOptions{
		ID: fmt.Sprintf("claim-%d", f.claims), Max: limit, Hold: time.Hour, Only: only,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) settle(c ledger.Claim, s ledger.Settlement) []ledger.Settled {
	f.t.Helper()
	all := make([]ledger.Settlement, len(c.Users))
	for i, u := range c.Users {
		all[i] = s
		all[i].User, all[i].Version = u.User, u.Version
	}
	settled, err := f.Settle(f.t.Context(), c.ID, all)
	if err != nil {
		f.t.Fatal(err)
	}
	return settled
}

// expire lets the deadline of everybody in flight, or waiting for later, pass.
func (f *fixture) expire() {
	f.t.Helper()
	key := "wablock:{" + phoneNumberID + "}:later"
	users, err := f.rdb.ZRange(f.t.Context(), key, 0, -1).Result()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, u := range users {
		if err := f.rdb.ZAdd(f.t.Context(), key, redis.Z{Score: 1, Member: u}).Err(); err != nil {
			f.t.Fatal(err)
		}
	}
}

func names(c ledger.Claim) []string {
	out := []string{}
	for _, u := range c.Users {
		out = append(out, u.User.Reveal()[8:])
	}
	return out
}

func each(t *testing.T, body func(t *testing.T, f *fixture)) {
	t.Helper()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) { body(t, setup(t, rdb)) })
}

func TestVersionsRise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		last := ledger.Version(0)
		for range 200 {
			v := f.version()
			if v <= last {
				t.Fatalf("version %d after %d", v, last)
			}
			last = v
		}
		if age := time.Since(last.Time()); age < -time.Minute || age > time.Minute {
			t.Errorf("the last version is %v old", age)
		}
		f.rdb.Del(t.Context(), "wablock:{"+phoneNumberID+"}:version")
		if v := f.version(); v <= last {
			t.Errorf("version %d after %d when the counter was lost", v, last)
		}
	})
}

func TestOneUserFromMarkToEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v := num(t, 1), f.version()
		if got := f.mark(ledger.Block, ledger.Interactive, v, alice); got != "w" {
			t.Fatalf("marked: %q", got)
		}
		c := f.claim(10, "")
		if c.Operation != ledger.Block || len(c.Users) != 1 || c.Users[0] != (ledger.Claimed{User: alice, Version: v}) {
			t.Fatalf("claimed: %+v", c)
		}
		if c.Backlog.Waiting() != 0 || c.Backlog.Later != 1 || c.Backlog.NextDue <= 0 {
			t.Errorf("backlog: %+v", c.Backlog)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v, alice); got != "f" {
			t.Errorf("in flight: %q", got)
		}
		settled := f.settle(c, ledger.Settlement{Verdict: ledger.Succeed, WaID: "16505550001"})
		if settled[0].State != ledger.Succeeded {
			t.Errorf("settled: %+v", settled)
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v, alice); got != "s" {
			t.Errorf("after: %q", got)
		}
		entries, err := f.Entries(t.Context(), []user.ID{alice, num(t, 2)})
		if err != nil {
			t.Fatal(err)
		}
		if entries[0].SettledAt.IsZero() {
			t.Error("no time of settlement")
		}
		entries[0].SettledAt = time.Time{}
		want := []ledger.Entry{
			{User: alice, Operation: ledger.Block, State: ledger.Succeeded, Queue: ledger.Interactive, Version: v, WaID: "16505550001"},
			{User: num(t, 2)},
		}
		if d := cmp.Diff(want, entries, cmp.Comparer(func(a, b user.ID) bool { return a == b })); d != "" {
			t.Error(d)
		}
	})
}

func TestClaimOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Reconcile, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 2), num(t, 3))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 4))
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 5))
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 6))
		want := [][]string{{"0005", "0004"}, {"0006", "0002"}, {"0003", "0001"}, {}}
		for i, w := range want {
			if d := cmp.Diff(w, names(f.claim(2, ""))); d != "" {
				t.Errorf("claim %d: %s", i, d)
			}
		}
	})
}

func TestClaimOnlyUnblocks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 2))
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ledger.Unblock))); d != "" {
			t.Error(d)
		}
		c := f.claim(9, ledger.Unblock)
		if len(c.Users) != 0 || c.Operation != "" || c.Backlog.Interactive != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestNewerRequestWhileInFlight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v1 := num(t, 1), f.version()
		f.mark(ledger.Block, ledger.Interactive, v1, alice)
		first := f.claim(1, "")
		v2 := f.version()
		if got := f.mark(ledger.Unblock, ledger.Interactive, v2, alice); got != "w" {
			t.Fatalf("marked: %q", got)
		}
		if c := f.claim(1, ""); len(c.Users) != 0 {
			t.Fatal("a user was claimed for a second call while in the first")
		}
		if got := f.mark(ledger.Block, ledger.Interactive, v1, alice); got != "n" {
			t.Errorf("the older request: %q", got)
		}
		if s := f.settle(first, ledger.Settlement{Verdict: ledger.Succeed}); s[0].State != ledger.Superseded {
			t.Errorf("settled: %+v", s)
		}
		second := f.claim(1, "")
		if second.Operation != ledger.Unblock || len(second.Users) != 1 || second.Users[0].Version != v2 {
			t.Errorf("claimed: %+v", second)
		}
	})
}

func TestBothWaitingCollapse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 2))
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
		c := f.claim(9, "")
		if d := cmp.Diff([]string{"0001"}, names(c)); d != "" || c.Operation != ledger.Unblock {
			t.Errorf("who asked first keeps the place in line: %v %s", c.Operation, d)
		}
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ""))); d != "" {
			t.Error(d)
		}
		if c := f.claim(9, ""); !(c.Backlog.Waiting() == 0 && len(c.Users) == 0) {
			t.Errorf("left over: %+v", c)
		}
	})
}

func TestAskingAgainInBulkKeepsTheInteractivePlace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1), num(t, 2))
		c := f.claim(1, "")
		if d := cmp.Diff([]string{"0001"}, names(c)); d != "" {
			t.Error(d)
		}
		if c.Backlog.Bulk != 1 || c.Backlog.Interactive != 0 {
			t.Errorf("%+v", c.Backlog)
		}
	})
}

func TestRetryWaitDead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v := num(t, 1), f.version()
		f.mark(ledger.Block, ledger.Interactive, v, alice)
		failure := &ledger.Failure{Code: 139103, Message: "Internal error\nline two", At: 7}

		s := f.settle(f.claim(1, ""), ledger.Settlement{Verdict: ledger.Retry, Delay: time.Hour, Failure: failure})
		if s[0].State != ledger.Waiting || s[0].Attempts != 1 || s[0].FirstFailedAt.IsZero() {
			t.Errorf("retry: %+v", s)
		}
		first := s[0].FirstFailedAt
		c := f.claim(1, "")
		if len(c.Users) != 0 || c.Backlog.Later != 1 || c.Backlog.NextDue < 59*time.Minute {
			t.Errorf("before the delay has passed: %+v", c)
		}
		f.expire()
		c = f.claim(1, "")
		if len(c.Users) != 1 || c.Users[0].Attempts != 1 {
			t.Fatalf("after the delay: %+v", c)
		}
		if s = f.settle(c, ledger.Settlement{Verdict: ledger.Wait}); s[0].Attempts != 1 || s[0].State != ledger.Waiting {
			t.Errorf("wait: %+v", s)
		}
		s = f.settle(f.claim(1, ""), ledger.Settlement{Verdict: ledger.Kill, Failure: failure})
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
		for _, s := range f.settle(lost, ledger.Settlement{Verdict: ledger.Kill}) {
			if s.State != ledger.Unknown {
				t.Errorf("a lost claim settled: %+v", s)
			}
		}
		states, err := f.Renew(t.Context(), lost.ID, lost.Users, time.Hour)
		if err != nil || states[0] != ledger.Unknown || states[1] != ledger.Unknown {
			t.Errorf("a lost claim was renewed: %v, %v", states, err)
		}
		if s := f.settle(held, ledger.Settlement{Verdict: ledger.Succeed}); s[0].State != ledger.Succeeded {
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
		states, err := f.Renew(t.Context(), c.ID, c.Users, time.Hour)
		if err != nil || states[0] != ledger.InFlight || states[1] != ledger.Superseded {
			t.Errorf("%v, %v", states, err)
		}
		if d := cmp.Diff([]string{"0002"}, names(f.claim(9, ""))); d != "" {
			t.Error(d)
		}
	})
}

func TestPokeWhenSomebodyBeginsToWait(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		sub := f.rdb.Subscribe(t.Context(), ledger.PokeChannel)
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := f.version()
		f.mark(ledger.Block, ledger.Bulk, v, num(t, 1))
		f.mark(ledger.Block, ledger.Bulk, v, num(t, 1), num(t, 2)) // somebody waits already
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 3))
		for range 2 {
			m, err := sub.ReceiveTimeout(t.Context(), 5*time.Second)
			if msg, ok := m.(*redis.Message); !ok || msg.Payload != phoneNumberID {
				t.Fatalf("poke: %v, %v", m, err)
			}
		}
		if m, err := sub.ReceiveTimeout(t.Context(), 50*time.Millisecond); err == nil {
			t.Errorf("a poke too many: %v", m)
		}
	})
}

func TestSegmentsOfOneMarkSeeEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		alice, v1, v2 := num(t, 1), f.version(), f.version()
		states, err := f.Mark(t.Context(), []ledger.Request{
			{User: alice, Operation: ledger.Unblock, Queue: ledger.Bulk, Version: v2},
			{User: alice, Operation: ledger.Block, Queue: ledger.Bulk, Version: v1},
		})
		if err != nil || states[0] != ledger.Waiting || states[1] != ledger.Superseded {
			t.Fatalf("%v, %v", states, err)
		}
		if c := f.claim(9, ""); c.Operation != ledger.Unblock || len(c.Users) != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestFullBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		users := make([]user.ID, ledger.MaxBatch)
		for i := range users {
			users[i] = num(t, i)
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), users...)
		c := f.claim(ledger.MaxBatch, "")
		if len(c.Users) != ledger.MaxBatch {
			t.Fatalf("claimed %d", len(c.Users))
		}
		if states, err := f.Renew(t.Context(), c.ID, c.Users, time.Hour); err != nil || len(states) != len(users) {
			t.Fatal(len(states), err)
		}
		for _, s := range f.settle(c, ledger.Settlement{Verdict: ledger.Succeed, WaID: "1"}) {
			if s.State != ledger.Succeeded {
				t.Fatalf("%+v", s)
			}
		}
	})
}

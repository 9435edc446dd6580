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
		ID: fmt.Sprintf("claim-%d", f.claims), Max: limit, Timeout: 10 * time.Minute, Only: only,
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

// expire lets the deadline of every user in flight, or waiting for later, pass.
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
		settled := f.settle(c, ledger.Settlement{Do: ledger.Succeed, WaID: "16505550001"})
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
		if states, err := f.Renew(t.Context(), c.ID, c.Users, 10*time.Minute, ""); err != nil || len(states) != len(users) {
			t.Fatal(len(states), err)
		}
		for _, s := range f.settle(c, ledger.Settlement{Do: ledger.Succeed, WaID: "1"}) {
			if s.State != ledger.Succeeded {
				t.Fatalf("%+v", s)
			}
		}
	})
}

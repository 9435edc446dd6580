package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const (
	usersKey  = "wablock:{" + phoneNumberID + "}:users"
	laterKey  = "wablock:{" + phoneNumberID + "}:later"
	blocksKey = "wablock:{" + phoneNumberID + "}:waiting:interactive:block"
)

func (f *fixture) spoil(user, record string) {
	f.t.Helper()
	if err := f.rdb.HSet(f.t.Context(), usersKey, user, record).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// One record that another program spoilt must not stop the others.
func TestSpoiltRecordStopsNoOther(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"no words":         "garbage",
		"empty":            "",
		"a strange op":     "z w i 0 5 - - 0 0",
		"a strange queue":  "b w z 0 5 - - 0 0",
		"a strange state":  "b z i 0 5 - - 0 0",
		"a word too many":  "b w i 0 5 - - 0 0 more",
		"a number too big": "b w i 0 99999999999999999999 - - 0 0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				spoilt, fine := num(t, 1), num(t, 2)
				f.mark(ledger.Block, ledger.Interactive, f.version(), spoilt, fine)
				f.claim(9, "")
				f.expire()
				f.spoil(spoilt.Reveal(), record)
				entries, err := f.Entries(t.Context(), []user.ID{spoilt, fine})
				if err != nil || entries[1].State != ledger.InFlight {
					t.Fatalf("entries: %v, %v", entries, err)
				}
				c := f.claim(9, "")
				if !strings.Contains(strings.Join(names(c), " "), "0002") {
					t.Fatalf("claimed: %v", names(c))
				}
				for _, s := range f.settle(c, ledger.Settlement{Do: ledger.Succeed}) {
					if s.State != ledger.Succeeded {
						t.Errorf("settled: %+v", s)
					}
				}
			})
		})
	}
}

func TestSpoiltRecordIsMarkedAfresh(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"no words":        "garbage",
		"a word too few":  "b s i 0 5 - - 0",
		"a word too many": "b s i 0 5 - - 0 0 more",
		"a word glued on": "b s i 0 5 - - 0 0more",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				f.spoil(num(t, 1).Reveal(), record)
				if got := f.mark(ledger.Block, ledger.Interactive, 5, num(t, 1)); got != "w" {
					t.Fatalf("marked: %q", got)
				}
				if c := f.claim(9, ""); len(c.Users) != 1 {
					t.Errorf("claimed: %+v", c)
				}
			})
		})
	}
}

// A name that this program does not take for a user is counted, and the rest of the call goes.
func TestStrangeUserStopsNoOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1))
		f.spoil("not a user", "b w i 0 5 - - 0 0")
		f.rdb.ZAdd(t.Context(), blocksKey, redis.Z{Score: 5, Member: "not a user"})
		c := f.claim(9, "")
		if d := cmp.Diff([]string{"0001"}, names(c)); d != "" || c.Unreadable != 1 {
			t.Errorf("unreadable: %d; %s", c.Unreadable, d)
		}
	})
}

// Who stands in a line without waiting there is not claimed from it, above all not for the
// other operation.
func TestStrayInAnotherLineIsNotClaimed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 1))
		f.rdb.ZAdd(t.Context(), blocksKey, redis.Z{Score: 1, Member: num(t, 1).Reveal()})
		if c := f.claim(9, ledger.Block); len(c.Users) != 0 {
			t.Errorf("claimed for a block: %v", names(c))
		}
		if c := f.claim(9, ""); len(c.Users) != 1 || c.Operation != ledger.Unblock {
			t.Errorf("%+v", c)
		}
	})
}

func TestSpoiltVersionCounter(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.rdb.Set(t.Context(), "wablock:{"+phoneNumberID+"}:version", "garbage", 0)
		if v := f.version(); time.Since(v.Time()).Abs() > time.Minute {
			t.Errorf("version %d", v)
		}
	})
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f, ctx, alice := setup(t, rdb), t.Context(), num(t, 1)
	fine := ledger.Request{User: alice, Operation: ledger.Block, Queue: ledger.Bulk, Version: 1}
	mark := func(change func(*ledger.Request)) error {
		r := fine
		change(&r)
		_, err := f.Mark(ctx, []ledger.Request{fine, r})
		return err
	}
	claim := func(o ledger.ClaimOptions) error {
		_, err := f.Claim(ctx, o)
		return err
	}
	_, tooMany := f.Mark(ctx, make([]ledger.Request, ledger.MaxBatch+1))
	_, noVerdict := f.Settle(ctx, "c", []ledger.Settlement{{User: alice, Version: 1}})
	_, tooManySettled := f.Settle(ctx, "c", make([]ledger.Settlement, ledger.MaxBatch+1))
	_, tooManyRenewed := f.Renew(ctx, "c", make([]ledger.Claimed, ledger.MaxBatch+1), time.Minute, "")
	for name, err := range map[string]error{
		"no user":          mark(func(r *ledger.Request) { r.User = user.ID{} }),
		"no operation":     mark(func(r *ledger.Request) { r.Operation = "" }),
		"no queue":         mark(func(r *ledger.Request) { r.Queue = "low" }),
		"no version":       mark(func(r *ledger.Request) { r.Version = 0 }),
		"no claim ID":      claim(ledger.ClaimOptions{Max: 1, Timeout: 10 * time.Minute}),
		"a spaced ID":      claim(ledger.ClaimOptions{ID: "a b", Max: 1, Timeout: 10 * time.Minute}),
		"the ID of none":   claim(ledger.ClaimOptions{ID: "-", Max: 1, Timeout: 10 * time.Minute}),
		"no hold":          claim(ledger.ClaimOptions{ID: "a", Max: 1}),
		"no such op":       claim(ledger.ClaimOptions{ID: "a", Max: 1, Timeout: 10 * time.Minute, Only: "x"}),
		"too many":         tooMany,
		"no verdict":       noVerdict,
		"too many settled": tooManySettled,
		"too many renewed": tooManyRenewed,
	} {
		if !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := rdb.Exists(ctx, usersKey, laterKey).Val(); n != 0 {
		t.Error("something was written")
	}
}

// A Redis at its limit takes no new request, loses nothing, and lets what waits be drained.
func TestRedisOutOfMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	f := setup(t, rdb)
	v := f.version()
	f.mark(ledger.Block, ledger.Bulk, v, num(t, 1), num(t, 2), num(t, 3))
	f.claim(1, "")
	f.expire()
	maxMemory := func(bytes string) {
		t.Helper()
		if err := rdb.ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	maxMemory("1")
	if _, err := f.NextVersion(t.Context()); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("a version: %v", err)
	}
	request := ledger.Request{User: num(t, 4), Operation: ledger.Block, Queue: ledger.Bulk, Version: v + 1}
	if _, err := f.Mark(t.Context(), []ledger.Request{request}); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("a mark: %v", err)
	}
	c := f.claim(9, "")
	if len(c.Users) != 3 {
		t.Fatalf("claimed: %+v", c)
	}
	if states, err := f.Renew(t.Context(), c.ID, c.Users, 10*time.Minute, ""); err != nil || states[0] != ledger.InFlight {
		t.Errorf("renewed: %v, %v", states, err)
	}
	for _, s := range f.settle(c, ledger.Settlement{Do: ledger.Retry, Delay: time.Hour}) {
		if s.State != ledger.Waiting {
			t.Errorf("put off: %+v", s)
		}
	}
	maxMemory("0") // for the test's own writes
	f.expire()
	maxMemory("1")
	for _, s := range f.settle(f.claim(9, ""), ledger.Settlement{Do: ledger.Succeed}) {
		if s.State != ledger.Succeeded {
			t.Errorf("settled: %+v", s)
		}
	}
	if b, err := f.Backlog(t.Context()); err != nil || !b.Empty() {
		t.Errorf("left over: %+v, %v", b, err)
	}
}

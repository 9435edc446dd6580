package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// claimAs claims for a worker.
func (f *fixture) claimAs(id string, limit int) ledger.Claim {
	f.t.Helper()
	c, err := f.Claim(f.t.Context(), ledger.ClaimOptions{ID: id, Max: limit, Timeout: 10 * time.Minute})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) takeOver(prefix string, want int) {
	f.t.Helper()
	if n, err := f.TakeOver(f.t.Context(), prefix); err != nil || n != want {
		f.t.Fatalf("took over %d, %v, want %d", n, err, want)
	}
}

// outlast lets the deadlines of claims that were taken over pass, and the times until which users are kept back.
func (f *fixture) outlast() {
	f.t.Helper()
	for _, key := range []string{"taken", "later"} {
		key = "wablock:{" + f.PhoneNumberID() + "}:" + key
		all, err := f.rdb.ZRange(f.t.Context(), key, 0, -1).Result()
		if err != nil || len(all) == 0 {
			f.t.Fatal(key, all, err)
		}
		for _, member := range all {
			f.rdb.ZAdd(f.t.Context(), key, redis.Z{Score: 1, Member: member})
		}
	}
}

// TestTakeOver: the same operation is called for at once, the other one when the call must have ended.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		v := f.version()
		f.mark(ledger.Block, ledger.Bulk, v, num(t, 1), num(t, 2), num(t, 3))
		first := f.claimAs("dead-1", 3)
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 2))
		f.takeOver("other-", 0)
		f.takeOver("dead-", 3)
		f.takeOver("dead-", 0)
		c := f.claimAs("live-1", 9)
		if d := cmp.Diff([]string{"0001", "0003"}, names(c)); d != "" || c.Operation != ledger.Block {
			t.Errorf("%v %s", c.Operation, d)
		}
		if c = f.claimAs("live-2", 9); len(c.Users) != 0 || c.Resting != 1 {
			t.Errorf("while the block may be out: %+v", c)
		}
		// Two that take each other for dead do not take users from each other for ever.
		f.takeOver("live-", 0)
		if again := f.claimAs("dead-1", 9); len(again.Users) != 0 {
			t.Errorf("%+v", again)
		}
		// The first call ends late: it changes nothing.
		for _, s := range f.settle(first, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block}) {
			if s.State == ledger.Succeeded || s.Repeats {
				t.Errorf("%+v", s)
			}
		}
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), num(t, 1))
		f.outlast() // of the second claim too
		if d := cmp.Diff([]string{"0002", "0001"}, names(f.claim(9, ledger.Unblock))); d != "" {
			t.Error(d)
		}
	})
}

// TestTakeOverAfterTheCall: what is asked for once the repeated call has ended waits for the first one as well.
func TestTakeOverAfterTheCall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1))
		f.claimAs("dead-1", 1)
		f.takeOver("dead-", 1)
		f.settle(f.claimAs("live-1", 1), ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
		f.mark(ledger.Unblock, ledger.Interactive, f.version(), num(t, 1))
		if c := f.claimAs("live-2", 1); len(c.Users) != 0 || c.Backlog.Later != 1 || c.Backlog.NextDue < time.Minute {
			t.Errorf("%+v", c)
		}
		f.mark(ledger.Block, ledger.Interactive, f.version(), num(t, 1)) // which the first call may carry out once more
		if c := f.claimAs("live-3", 1); len(c.Users) != 1 || c.Operation != ledger.Block {
			t.Errorf("%+v", c)
		}
	})
}

// TestTakeOverOfAPerson: a name that turns out to be of another record's person keeps that one back.
func TestTakeOverOfAPerson(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		old, err := user.Parse("+5592981723241")
		if err != nil {
			t.Fatal(err)
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), old)
		f.claimAs("dead-1", 1)
		f.takeOver("dead-", 1)
		f.settle(f.claimAs("live-1", 1), ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
		if _, err := f.Join(t.Context(), []ledger.Named{{Name: old, WaID: "559281723241", At: time.Now()}}, ledger.NameLimits{}); err != nil {
			t.Fatal(err)
		}
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), old)
		if c := f.claimAs("live-2", 1); len(c.Users) != 0 || c.Resting != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// TestTakeOverOfMany: a worker's claims, renewed or not, in several scripts; those of others stay.
func TestTakeOverOfMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const n = 900
		for from := range 4 {
			users := make([]user.ID, n)
			for i := range users {
				users[i] = num(t, from*n+i)
			}
			f.mark(ledger.Block, ledger.Bulk, f.version(), users...)
		}
		f.claimAs("dead-1", n)
		f.claimAs("live-1", n)
		renewed := f.claimAs("dead-2", n)
		if _, err := f.Renew(t.Context(), renewed.ID, renewed.Users[:10], 11*time.Minute, ""); err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			f.claimAs(fmt.Sprintf("dead-a%d", i), 1)
		}
		f.takeOver("dead-", n+10+300)
		if b, err := f.Backlog(t.Context()); err != nil || b.Bulk != n+10+300+n-300 || b.Later != n+n-10 {
			t.Errorf("%+v, %v", b, err)
		}
		key := "wablock:{" + f.PhoneNumberID() + "}:taken"
		if ttl := f.rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 11*time.Minute {
			t.Errorf("%s expires in %v", key, ttl)
		}
	})
}

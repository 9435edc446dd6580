package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

const base = ledger.Version(1_790_000_000_000_000)

func before(d time.Duration) ledger.Version { return base - ledger.Version(d.Microseconds()) }

// settled is a record of a user who was blocked a day ago.
func settled(number, waID string) ledger.Entry {
	v := before(48 * time.Hour)
	return ledger.Entry{
		User: parse(number), Operation: ledger.Block, State: ledger.Succeeded, Queue: ledger.Bulk, Version: v, WaID: waID,
		SettledAt: v.Time().Add(time.Second),
	}
}

func parse(s string) user.ID {
	u, err := user.Parse(s)
	if err != nil {
		panic(err) // a test's own number
	}
	return u
}

func changes(changes []plan.Change) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.User.Reveal()
	}
	return out
}

const phoneNumberID = "106540352242922"

func with(e ledger.Entry, change func(*ledger.Entry)) ledger.Entry {
	change(&e)
	return e
}

func users(numbers ...string) []user.ID {
	var out []user.ID
	for _, n := range numbers {
		out = append(out, parse(n))
	}
	return out
}

func actual(waIDs ...string) []client.Entry {
	var out []client.Entry
	for _, id := range waIDs {
		out = append(out, client.Entry{WaID: id})
	}
	return out
}

type planned struct {
	Block, Unblock, Adopt []string
	Doubts                map[string]plan.Doubt
	LeftAlone, Likely     int
}

// input is a plan's, with the ledger's records.
type input struct {
	Mode       plan.Mode
	Desired    []user.ID
	FromLedger bool
	Before     []user.ID
	Actual     []client.Entry
	Entries    []ledger.Entry
	Pending    map[user.ID]ledger.Version
	Later      map[user.ID]struct{}
}

// failer is a test, or a property of one.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func compute(t failer, in input) *plan.Plan {
	t.Helper()
	p, err := plan.Compute(in.plan(), in.records)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (in input) plan() plan.Input {
	return plan.Input{
		PhoneNumberID: phoneNumberID, Mode: cmp.Or(in.Mode, plan.Enforce), Base: base, Desired: in.Desired, FromLedger: in.FromLedger,
		Before: in.Before, Actual: in.Actual, Pending: maps.Clone(in.Pending), Later: in.Later,
	}
}

func (in input) records(yield func(ledger.Entry, error) bool) {
	for _, e := range in.Entries {
		if !yield(e, nil) {
			return
		}
	}
}

func summary(p *plan.Plan) planned {
	got := planned{LeftAlone: p.LeftAlone, Likely: p.LikelyToFail}
	for to, from := range map[*[]string][]plan.Change{&got.Block: p.ToBlock, &got.Unblock: p.ToUnblock, &got.Adopt: p.ToAdopt} {
		if len(from) > 0 {
			*to = changes(from)
		}
	}
	for _, a := range p.Ambiguous {
		if got.Doubts == nil {
			got.Doubts = map[string]plan.Doubt{}
		}
		got.Doubts[a.User.Reveal()] = a.Reason
	}
	return got
}

// TestProtected: who must not be blocked is not, also where an earlier run is about to unblock; and who is on the
// list is no matter of this.
func TestProtected(t *testing.T) {
	t.Parallel()
	undoing := with(settled("+16505550003", "16505550003"), func(e *ledger.Entry) {
		e.Operation, e.State, e.Queue = ledger.Unblock, ledger.Waiting, ledger.Reconcile
	})
	in := input{
		Desired: users("+16505550001", "+16505550002", "+16505550003", "+16505550004"), Actual: actual("16505550002", "16505550003"),
		Entries: []ledger.Entry{undoing},
	}
	free := compute(t, in)
	if n := len(free.ToBlock); n != 3 || free.Withdrawn != 1 || free.Protected != 0 {
		t.Fatalf("%d blocks, %d withdrawn without protected users", n, free.Withdrawn)
	}
	i := in.plan()
	i.Protected = func(u user.ID, waID string) bool { return u != parse("+16505550004") }
	p, err := plan.Compute(i, in.records)
	if err != nil {
		t.Fatal(err)
	}
	if got := changes(p.ToBlock); len(got) != 1 || got[0] != "+16505550004" || p.Protected != 2 || p.Withdrawn != 0 || p.After() != 3 {
		t.Errorf("blocks %v, %d protected, %d withdrawn, %d after", got, p.Protected, p.Withdrawn, p.After())
	}
}

func TestCompute(t *testing.T) {
	t.Parallel()
	const (
		one, two, brazil, brazilID = "+16505550001", "+16505550002", "+5592981723241", "559281723241"
		bsuid                      = "US.13491208655302741918"
	)
	unblocked := with(settled(one, one[1:]), func(e *ledger.Entry) { e.Operation = ledger.Unblock })
	waiting := func(e *ledger.Entry) { e.State, e.SettledAt = ledger.Waiting, time.Time{} }
	for name, c := range map[string]struct {
		in   input
		want planned
	}{
		"nothing": {},
		"both ways": {
			in:   input{Desired: users(one), Actual: actual(two[1:])},
			want: planned{Block: []string{one}, Unblock: []string{two}, Likely: 1},
		},
		"adopted": {
			in:   input{Mode: plan.Adopt, Desired: users(one), Actual: actual(two[1:])},
			want: planned{Block: []string{one}, Adopt: []string{two}, Likely: 1},
		},
		"one user twice": {
			in:   input{Desired: users(one, one), Actual: append(actual(two[1:]), actual(two[1:])...)},
			want: planned{Block: []string{one}, Unblock: []string{two}, Likely: 1},
		},
		"known by another WhatsApp ID": {
			in: input{Desired: users(brazil), Actual: actual(brazilID), Entries: []ledger.Entry{settled(brazil, brazilID)}},
		},
		"unblocked by the number that was asked for": {
			in:   input{Actual: actual(brazilID), Entries: []ledger.Entry{settled(brazil, brazilID)}},
			want: planned{Unblock: []string{brazil}},
		},
		"perhaps known by another WhatsApp ID": {
			in: input{Desired: users(brazil), Actual: actual(brazilID)},
			want: planned{
				Block: []string{brazil}, Likely: 1, Doubts: map[string]plan.Doubt{"+" + brazilID: plan.DoubtSimilar},
			},
		},
		"Mexico and Argentina": {
			in: input{Desired: users("+525512345678", "+541123456789"), Actual: actual("5215512345678", "5491123456789")},
			want: planned{Block: []string{"+525512345678", "+541123456789"}, Likely: 2, Doubts: map[string]plan.Doubt{
				"+5215512345678": plan.DoubtSimilar, "+5491123456789": plan.DoubtSimilar,
			}},
		},
		"listed as dialled though known otherwise": {
			in:   input{Desired: users(brazil), Actual: actual(brazil[1:]), Entries: []ledger.Entry{settled(brazil, brazilID)}},
			want: planned{Doubts: map[string]plan.Doubt{brazil: plan.DoubtTwoForms}},
		},
		"two desired, one WhatsApp ID": {
			in:   input{Desired: users(brazil, "+"+brazilID), Entries: []ledger.Entry{settled(brazil, brazilID)}},
			want: planned{Block: []string{brazil}, Likely: 1, Doubts: map[string]plan.Doubt{brazil: plan.DoubtShared}},
		},
		"blocked by the number that was asked for": {
			in:   input{Desired: users("+" + brazilID), Entries: []ledger.Entry{settled(brazil, brazilID)}},
			want: planned{Block: []string{brazil}, Likely: 1},
		},
		"listed without a WhatsApp ID": {
			in:   input{Desired: users(one), Actual: []client.Entry{{WaID: one[1:]}, {UserID: bsuid}}},
			want: planned{Doubts: map[string]plan.Doubt{"": plan.DoubtNoWaID}},
		},
		"a desired user ID": {
			in: input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:], UserID: bsuid}}},
		},
		"a desired user ID that is not listed": {
			in: input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:]}, {WaID: two[1:], UserID: "US.2"}}},
			want: planned{
				Block: []string{bsuid}, Unblock: []string{two}, Likely: 1, Doubts: map[string]plan.Doubt{one: plan.DoubtUserID},
			},
		},
		"no number at all": {
			in:   input{Actual: actual("123")},
			want: planned{Doubts: map[string]plan.Doubt{"": plan.DoubtUnreadable}},
		},
		"work waits": {
			in: input{Desired: users(one), Actual: actual(two[1:]), Entries: []ledger.Entry{
				with(settled(one, ""), waiting), with(settled(two, ""), waiting),
			}},
			want: planned{LeftAlone: 2},
		},
		"in flight under another name": {
			in: input{Actual: actual(brazilID), Entries: []ledger.Entry{
				with(settled(brazil, brazilID), func(e *ledger.Entry) { e.Busy, e.State = true, ledger.InFlight }),
			}},
			want: planned{LeftAlone: 1},
		},
		"waits under a name that is not known yet": {
			in:   input{Actual: actual(brazilID), Entries: []ledger.Entry{with(settled(brazil, ""), waiting)}},
			want: planned{Doubts: map[string]plan.Doubt{"+" + brazilID: plan.DoubtSimilar}},
		},
		"asked for since": {
			in:   input{Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), func(e *ledger.Entry) { e.Version = base + 1 })}},
			want: planned{LeftAlone: 1},
		},
		"settled since": {
			in: input{Actual: actual(one[1:]), Entries: []ledger.Entry{
				with(settled(one, ""), func(e *ledger.Entry) { e.SettledAt = base.Time().Truncate(time.Millisecond) }),
			}},
			want: planned{LeftAlone: 1},
		},
		"in a task that no worker has started": {
			in: input{
				Desired: users(one), Actual: actual(two[1:]), Entries: []ledger.Entry{settled(two, two[1:])},
				Pending: map[user.ID]ledger.Version{parse(one): before(time.Minute), parse(two): before(time.Minute)},
			},
			want: planned{LeftAlone: 2},
		},
		"in a task whose other users wait": {
			in: input{
				Actual: actual(two[1:]), Entries: []ledger.Entry{settled(two, two[1:])},
				Pending: map[user.ID]ledger.Version{parse(two): before(48 * time.Hour)},
			},
			want: planned{Unblock: []string{two}},
		},
		"as the ledger wants": {
			in: input{FromLedger: true, Actual: actual(one[1:]), Entries: []ledger.Entry{
				unblocked, settled(two, two[1:]),
				with(settled("+16505550003", ""), func(e *ledger.Entry) { e.State = ledger.Dead }),
				with(settled("+16505550004", ""), func(e *ledger.Entry) { e.State = ledger.Discarded }),
			}},
			want: planned{Block: []string{two, "+16505550003"}, Unblock: []string{one}, Likely: 2},
		},
		"asked for under two numbers": {
			in: input{FromLedger: true, Entries: []ledger.Entry{
				settled(brazil, brazilID),
				with(settled("+"+brazilID, brazilID), func(e *ledger.Entry) { e.Operation, e.Version = ledger.Unblock, e.Version+1 }),
			}},
			want: planned{Doubts: map[string]plan.Doubt{brazil: plan.DoubtOpposed}},
		},
		"seen lately": {
			in: input{FromLedger: true, Entries: []ledger.Entry{
				with(settled(one, ""), func(e *ledger.Entry) { e.SettledAt = base.Time().Add(-time.Hour) }),
			}},
			want: planned{Block: []string{one}},
		},
		"an entry that came twice": {
			in: input{Actual: actual(one[1:]), Entries: []ledger.Entry{
				settled(one, ""), with(settled(one, ""), func(e *ledger.Entry) { waiting(e); e.Version = before(time.Second) }), settled(one, ""),
			}},
			want: planned{LeftAlone: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := gocmp.Diff(c.want, summary(compute(t, c.in))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGuards(t *testing.T) {
	t.Parallel()
	of := func(desired, actual, unblock int) *plan.Plan {
		return &plan.Plan{Desired: desired, Actual: actual, ToUnblock: make([]plan.Change, unblock)}
	}
	for name, c := range map[string]struct {
		plan   *plan.Plan
		limits plan.Limits
		want   []plan.Guard
	}{
		"500 of 12,000":          {of(12_000, 12_000, 500), plan.Limits{MaxChanges: 500}, nil},
		"501 of 12,000":          {of(12_000, 12_000, 501), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardMaxChanges}},
		"5 % of 100":             {of(100, 100, 5), plan.Limits{MaxChanges: 500}, nil},
		"6 % of 100":             {of(100, 100, 6), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardShare}},
		"2 of 20":                {of(20, 20, 2), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardShare}},
		"1 of 19":                {of(18, 19, 1), plan.Limits{MaxChanges: 500}, nil},
		"10 of 19":               {of(19, 19, 10), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardShare}},
		"2 of 3":                 {of(1, 3, 2), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardShare}},
		"a first run":            {of(97, 100, 3), plan.Limits{MaxChanges: 500, First: true}, []plan.Guard{plan.GuardFirst}},
		"a first run of one":     {of(99, 100, 1), plan.Limits{MaxChanges: 500, First: true}, nil},
		"a ledger of nothing":    {&plan.Plan{Actual: 100, Unknown: 100}, plan.Limits{MaxChanges: 500, First: true}, []plan.Guard{plan.GuardFirst}},
		"a ledger of less":       {&plan.Plan{Actual: 100, Unknown: 100}, plan.Limits{MaxChanges: 500}, nil},
		"none desired":           {of(0, 10, 1), plan.Limits{MaxChanges: 500}, []plan.Guard{plan.GuardEmpty}},
		"half desired":           {of(6, 10, 1), plan.Limits{MaxChanges: 500, LastDesired: 12}, nil},
		"less than half desired": {of(5, 10, 1), plan.Limits{MaxChanges: 500, LastDesired: 12}, []plan.Guard{plan.GuardShrunk}},
		"rejected lines":         {of(10, 10, 1), plan.Limits{MaxChanges: 500, Rejected: 1}, []plan.Guard{plan.GuardRejected}},
		"no unblocks at all":     {of(0, 100, 0), plan.Limits{LastDesired: 1000, Rejected: 7}, nil},
		"none allowed":           {of(10, 10, 1), plan.Limits{}, []plan.Guard{plan.GuardMaxChanges}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []plan.Guard
			for _, v := range c.limits.Check(c.plan) {
				got = append(got, v.Guard)
			}
			if d := gocmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// waIDOf returns a WhatsApp ID, another for each n below ten million.
func waIDOf(n int) string { return fmt.Sprintf("1650%07d", 2_000_000+n) }

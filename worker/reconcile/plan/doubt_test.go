package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// TestComputeDoubts has the ways in which a user who is, or may be, desired could come to be
// unblocked.
func TestComputeDoubts(t *testing.T) {
	t.Parallel()
	const (
		one, two           = "+16505550001", "+16505550002"
		bsuid              = "US.13491208655302741918"
		brazil, brazilForm = "+5592981723241", "+559281723241"
	)
	ours := func(e *ledger.Entry) { // a run's own unblock, which has not been carried out
		e.Operation, e.State, e.Queue, e.SettledAt = ledger.Unblock, ledger.Waiting, ledger.Reconcile, time.Time{}
	}
	theirs := func(e *ledger.Entry) { ours(e); e.Queue = ledger.Interactive }
	flying := func(e *ledger.Entry) { ours(e); e.State, e.Busy = ledger.InFlight, true }
	discarded := func(e *ledger.Entry) { e.State = ledger.Discarded }
	for name, c := range map[string]struct {
		in   input
		want planned
	}{
		"an earlier run's unblock waits": {
			in:   input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock is in flight": {
			in:   input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), flying)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock waits under another name": {
			in: input{Desired: users(brazil), Actual: actual(brazilForm[1:]), Entries: []ledger.Entry{
				settled(brazil, brazilForm[1:]), with(settled(brazilForm, brazilForm[1:]), ours),
			}},
			want: planned{Block: []string{brazilForm}},
		},
		"an earlier run's unblock waits, and another program was faster": {
			in:   input{Desired: users(one), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock waits, as it should": {
			in:   input{Desired: users(two), Actual: actual(one[1:], two[1:]), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{LeftAlone: 1},
		},
		"another request's unblock waits": {
			in: input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), theirs)}},
		},
		"the API lists another form than it told": {
			in: input{Desired: users(brazilForm), Actual: actual(brazil[1:]), Entries: []ledger.Entry{settled(brazilForm, brazilForm[1:])}},
			want: planned{
				Block: []string{brazilForm}, Likely: 1, Doubts: map[string]plan.Doubt{brazil: plan.DoubtSimilar},
			},
		},
		"the API lists another form of who waits than it told": {
			in: input{Actual: actual(brazil[1:]), Entries: []ledger.Entry{
				with(settled(brazilForm, brazilForm[1:]), func(e *ledger.Entry) { e.State, e.SettledAt = ledger.Waiting, time.Time{} }),
			}},
			want: planned{Doubts: map[string]plan.Doubt{brazil: plan.DoubtSimilar}},
		},
		"the API lists both forms": {
			in:   input{Desired: users(brazil), Actual: actual(brazil[1:], brazilForm[1:])},
			want: planned{Doubts: map[string]plan.Doubt{brazilForm: plan.DoubtSimilar}},
		},
		"a number that only looks alike": {
			in:   input{Desired: users("+4915112345678"), Actual: actual("4915112345678", "491609345678")},
			want: planned{Unblock: []string{"+491609345678"}},
		},
		"two WhatsApp IDs of one user ID": {
			in: input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:], UserID: bsuid}, {WaID: two[1:], UserID: bsuid}}},
		},
		"a WhatsApp ID and another one of the same user ID": {
			in: input{Desired: users(one), Actual: []client.Entry{{WaID: one[1:], UserID: bsuid}, {WaID: two[1:], UserID: bsuid}}},
		},
		"an entry twice, with two user IDs": {
			in: input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:], UserID: "US.2"}, {WaID: one[1:], UserID: bsuid}}},
		},
		"asked for under two names": {
			in: input{Desired: users(one), Actual: actual(one[1:], brazilForm[1:]), Entries: []ledger.Entry{
				settled(brazil, brazilForm[1:]), settled(brazilForm, brazilForm[1:]),
			}},
			want: planned{Doubts: map[string]plan.Doubt{brazilForm: plan.DoubtNames}},
		},
		"asked for by number and by user ID": {
			in: input{
				Desired: users(one), Actual: []client.Entry{{WaID: one[1:]}, {WaID: two[1:], UserID: bsuid}},
				Entries: []ledger.Entry{settled(two, ""), settled(bsuid, "")},
			},
			want: planned{Doubts: map[string]plan.Doubt{two: plan.DoubtNames}},
		},
		"a block that failed and was discarded": {
			in:   input{FromLedger: true, Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), discarded)}},
			want: planned{Doubts: map[string]plan.Doubt{one: plan.DoubtDiscarded}},
		},
		"a block that was discarded, and a list that does not have it": {
			in:   input{Desired: users(two), Actual: actual(one[1:], two[1:]), Entries: []ledger.Entry{with(settled(one, ""), discarded)}},
			want: planned{Unblock: []string{one}},
		},
		"a record that can't be read": {
			in:   input{FromLedger: true, Actual: actual(one[1:]), Entries: []ledger.Entry{{User: parse(one)}}},
			want: planned{Doubts: map[string]plan.Doubt{one: plan.DoubtRecord}},
		},
		"a record that can't be read, under another form": {
			in:   input{FromLedger: true, Actual: actual(brazilForm[1:]), Entries: []ledger.Entry{{User: parse(brazil)}}},
			want: planned{Doubts: map[string]plan.Doubt{brazilForm: plan.DoubtSimilar}},
		},
		"a user that the ledger has no record of": {
			in: input{FromLedger: true, Actual: actual(one[1:], two[1:]), Entries: []ledger.Entry{
				with(settled(two, two[1:]), func(e *ledger.Entry) { e.Operation = ledger.Unblock }),
			}},
			want: planned{Unblock: []string{two}, Doubts: map[string]plan.Doubt{one: plan.DoubtUnknown}},
		},
		"a user that the ledger has no record of, adopted": {
			in:   input{Mode: plan.Adopt, FromLedger: true, Actual: actual(one[1:])},
			want: planned{Adopt: []string{one}},
		},
		"blocked by wablock and elsewhere": {
			in: input{Mode: plan.Own, Desired: users("+16505550003"), Actual: actual(one[1:], two[1:], "16505550003", "16505550004", "16505550005"), Entries: []ledger.Entry{
				settled(one, one[1:]),
				with(settled("+16505550004", ""), func(e *ledger.Entry) { e.Operation = ledger.Unblock }),
				with(settled("+16505550005", ""), func(e *ledger.Entry) { e.State = ledger.Dead }),
			}},
			want: planned{Unblock: []string{one}, Doubts: map[string]plan.Doubt{
				two: plan.DoubtForeign, "+16505550004": plan.DoubtForeign, "+16505550005": plan.DoubtForeign,
			}},
		},
		"no longer desired since the run began": {
			in:   input{Desired: users(two), Before: users(one, two), Actual: actual(one[1:], two[1:])},
			want: planned{LeftAlone: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, summary(compute(t, c.in))); d != "" {
				t.Error(d)
			}
		})
	}
}

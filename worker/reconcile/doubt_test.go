package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker/reconcile"
)

// TestComputeDoubts has the ways in which somebody who is, or may be, desired could come to be
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
		in   reconcile.Input
		want planned
	}{
		"an earlier run's unblock waits": {
			in:   reconcile.Input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock is in flight": {
			in:   reconcile.Input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), flying)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock waits under another name": {
			in: reconcile.Input{Desired: users(brazil), Actual: actual(brazilForm[1:]), Entries: []ledger.Entry{
				settled(brazil, brazilForm[1:]), with(settled(brazilForm, brazilForm[1:]), ours),
			}},
			want: planned{Block: []string{brazilForm}},
		},
		"an earlier run's unblock waits, and somebody else was faster": {
			in:   reconcile.Input{Desired: users(one), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{Block: []string{one}},
		},
		"an earlier run's unblock waits, as it should": {
			in:   reconcile.Input{Desired: users(two), Actual: actual(one[1:], two[1:]), Entries: []ledger.Entry{with(settled(one, ""), ours)}},
			want: planned{LeftAlone: 1},
		},
		"somebody's unblock waits": {
			in: reconcile.Input{Desired: users(one), Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), theirs)}},
		},
		"the API lists another form than it told": {
			in: reconcile.Input{Desired: users(brazilForm), Actual: actual(brazil[1:]), Entries: []ledger.Entry{settled(brazilForm, brazilForm[1:])}},
			want: planned{
				Block: []string{brazilForm}, Likely: 1, Doubts: map[string]reconcile.Doubt{brazil: reconcile.DoubtSimilar},
			},
		},
		"the API lists another form of who waits than it told": {
			in: reconcile.Input{Actual: actual(brazil[1:]), Entries: []ledger.Entry{
				with(settled(brazilForm, brazilForm[1:]), func(e *ledger.Entry) { e.State, e.SettledAt = ledger.Waiting, time.Time{} }),
			}},
			want: planned{Doubts: map[string]reconcile.Doubt{brazil: reconcile.DoubtSimilar}},
		},
		"the API lists both forms": {
			in:   reconcile.Input{Desired: users(brazil), Actual: actual(brazil[1:], brazilForm[1:])},
			want: planned{Doubts: map[string]reconcile.Doubt{brazilForm: reconcile.DoubtSimilar}},
		},
		"a number that only looks alike": {
			in:   reconcile.Input{Desired: users("+4915112345678"), Actual: actual("4915112345678", "491609345678")},
			want: planned{Unblock: []string{"+491609345678"}},
		},
		"two WhatsApp IDs of one user ID": {
			in: reconcile.Input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:], UserID: bsuid}, {WaID: two[1:], UserID: bsuid}}},
		},
		"a WhatsApp ID and another one of the same user ID": {
			in: reconcile.Input{Desired: users(one), Actual: []client.Entry{{WaID: one[1:], UserID: bsuid}, {WaID: two[1:], UserID: bsuid}}},
		},
		"an entry twice, with two user IDs": {
			in: reconcile.Input{Desired: users(bsuid), Actual: []client.Entry{{WaID: one[1:], UserID: "US.2"}, {WaID: one[1:], UserID: bsuid}}},
		},
		"asked for under two names": {
			in: reconcile.Input{Desired: users(one), Actual: actual(one[1:], brazilForm[1:]), Entries: []ledger.Entry{
				settled(brazil, brazilForm[1:]), settled(brazilForm, brazilForm[1:]),
			}},
			want: planned{Doubts: map[string]reconcile.Doubt{brazilForm: reconcile.DoubtNames}},
		},
		"asked for by number and by user ID": {
			in: reconcile.Input{
				Desired: users(one), Actual: []client.Entry{{WaID: one[1:]}, {WaID: two[1:], UserID: bsuid}},
				Entries: []ledger.Entry{settled(two, ""), settled(bsuid, "")},
			},
			want: planned{Doubts: map[string]reconcile.Doubt{two: reconcile.DoubtNames}},
		},
		"a block that failed and was discarded": {
			in:   reconcile.Input{FromLedger: true, Actual: actual(one[1:]), Entries: []ledger.Entry{with(settled(one, ""), discarded)}},
			want: planned{Doubts: map[string]reconcile.Doubt{one: reconcile.DoubtDiscarded}},
		},
		"a block that was discarded, and a list that does not have it": {
			in:   reconcile.Input{Desired: users(two), Actual: actual(one[1:], two[1:]), Entries: []ledger.Entry{with(settled(one, ""), discarded)}},
			want: planned{Unblock: []string{one}},
		},
		"a record that can't be read": {
			in:   reconcile.Input{FromLedger: true, Actual: actual(one[1:]), Entries: []ledger.Entry{{User: parse(one)}}},
			want: planned{Doubts: map[string]reconcile.Doubt{one: reconcile.DoubtRecord}},
		},
		"a record that can't be read, under another form": {
			in:   reconcile.Input{FromLedger: true, Actual: actual(brazilForm[1:]), Entries: []ledger.Entry{{User: parse(brazil)}}},
			want: planned{Doubts: map[string]reconcile.Doubt{brazilForm: reconcile.DoubtSimilar}},
		},
		"no longer desired since the run began": {
			in:   reconcile.Input{Desired: users(two), Before: users(one, two), Actual: actual(one[1:], two[1:])},
			want: planned{LeftAlone: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, compute(c.in)); d != "" {
				t.Error(d)
			}
		})
	}
}

package tasks_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

func TestLive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, r := range []tasks.Request{
			{Users: nums(1200), JobID: "ends"},
			{Users: nums(1), JobID: "waits"},
			{Users: nums(1), JobID: "later", Delay: time.Hour},
			{Users: nums(1), JobID: "background", Queue: ledger.Reconcile},
			{Users: nums(1), JobID: "elsewhere", PhoneNumberID: "7"},
		} {
			r.Operation = ledger.Block
			if _, err := f.producer.Enqueue(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if r.JobID == "ends" {
				f.work()
			}
		}
		var got []string
		for p, err := range f.producer.Live(t.Context(), phoneNumberID) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.TaskID())
		}
		if d := cmp.Diff([]string{"background:0", "later:0", "waits:0"}, slices.Sorted(slices.Values(got))); d != "" {
			t.Error(d)
		}
	})
}

func TestEnqueueUnderAnEarlierVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		l := ledger.New(f.rdb, phoneNumberID)
		early := must(l.NextVersion(t.Context()))(t)
		users := nums(2)
		must(f.producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users[:1]}))(t)
		job := must(f.producer.Enqueue(t.Context(), tasks.Request{
			Operation: ledger.Unblock, Users: users, Version: early, Queue: ledger.Reconcile,
		}))(t)
		if job.Version != early {
			t.Errorf("version %d, want %d", job.Version, early)
		}
		entries := must(l.Entries(t.Context(), users))(t)
		if entries[0].Operation != ledger.Block || entries[1].Operation != ledger.Unblock || entries[1].Version != early {
			t.Errorf("what was asked for in the meantime lost: %v %v", entries[0].Operation, entries[1].Operation)
		}
		if _, err := f.producer.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: users, Version: early, Delay: time.Second}); err == nil {
			t.Error("a version with a delay was taken")
		}
	})
}

package deadletter_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/queues"
)

// TestRedriveSkipsProtected: blocks of protected users stay where they are, unblocks of theirs go on.
func TestRedriveSkipsProtected(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 1, 2, 3)
		f.fail(ledger.Unblock, 4)
		if err := protect.Add(t.Context(), f.Redis, "", nums(5)[2:], "our staff", "ana@ops"); err != nil {
			t.Fatal(err)
		}
		f.succeed(ledger.Block, num(3)) // obsolete, protected or not
		want := deadletter.RedriveReport{Redriven: 2, Obsolete: 1, Protected: 1}
		reasons := map[deadletter.Action]string{}
		o := deadletter.RedriveOptions{DryRun: true, Each: func(_ deadletter.Letter, a deadletter.Action, reason string) { reasons[a] = reason }}
		dry := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, o))(t)
		if diff := cmp.Diff(want, dry); diff != "" {
			t.Errorf("dry run: %s", diff)
		}
		if why := reasons[deadletter.Protected]; !strings.Contains(why, "our staff") || !strings.Contains(why, "protect remove --all") {
			t.Errorf("told %q", reasons)
		}
		got := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{Requester: "ana@ops"}))(t)
		if diff := cmp.Diff(want, got, ignoreJobs); diff != "" || len(got.Jobs) != 2 {
			t.Errorf("%d jobs, %s", len(got.Jobs), diff)
		}
		for _, job := range got.Jobs {
			if s := must(f.Producer.Job(t.Context(), job.ID))(t); s.RequestedBy != "ana@ops" {
				t.Errorf("asked for by %q", s.RequestedBy)
			}
		}
		if _, there := f.get(2); !there || f.count() != 1 {
			t.Errorf("the entry of the protected user is there: %v; %d entries are", there, f.count())
		}
		again := must(deadletter.Redrive(t.Context(), f.dead, f.Producer, deadletter.Filter{}, deadletter.RedriveOptions{}))(t)
		if diff := cmp.Diff(deadletter.RedriveReport{Protected: 1}, again); diff != "" {
			t.Errorf("again: %s", diff)
		}
	})
}

// TestRedriveTaskRefusesProtected: a letter of a protected user that is run from the web page rests again, with the reason.
func TestRedriveTaskRefusesProtected(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.fail(ledger.Block, 1)
		e, _ := f.get(1)
		if err := deadletter.CheckRedrive(t.Context(), f.dead, e.ID); err != nil {
			t.Errorf("before: %v", err)
		}
		if err := protect.Add(t.Context(), f.Redis, phoneNumberID, nums(2)[1:], "our staff", "ana@ops"); err != nil {
			t.Fatal(err)
		}
		err := deadletter.CheckRedrive(t.Context(), f.dead, e.ID)
		if !errors.Is(err, deadletter.ErrProtected) || !strings.Contains(err.Error(), "our staff") || strings.Contains(err.Error(), "1650") {
			t.Errorf("looking: %v", err)
		}
		info := f.Task(queues.DeadLetter, e.ID)
		err = deadletter.RedriveTask(t.Context(), f.dead, f.Producer, asynq.NewTask(info.Type, info.Payload))
		if !errors.Is(err, deadletter.ErrProtected) {
			t.Errorf("running: %v", err)
		}
		if d := deadletter.RedriveDelay(1, err, nil); d < 365*24*time.Hour {
			t.Errorf("it is tried again in %v", d)
		}
	})
}

package taskstest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
)

// newest returns the job that was accepted last.
func (r *rig) newest() tasks.JobStatus {
	r.Helper()
	for j, err := range r.Jobs(r.Context(), tasks.JobsFilter{Limit: 1}) {
		r.check(err)
		return j
	}
	r.Fatal("there are no jobs")
	return tasks.JobStatus{}
}

// rows returns the users of a job with their states.
func (r *rig) rows(id string) map[string]tasks.UserState {
	r.Helper()
	all := map[string]tasks.UserState{}
	for u, err := range r.JobUsers(r.Context(), id) {
		r.check(err)
		all[u.Input] = u.State
	}
	return all
}

func TestBothUndo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		four := "+16505550004"
		r.block("before", one)
		r.succeed("before")
		r.block("wrong", one, two, three, four)
		r.succeed("wrong", one, two, three)
		_, err := r.Unblock(t.Context(), []string{three}, tasks.WithJobID("since"))
		r.check(err)
		want := tasks.Undone{JobID: "wrong", Canceled: 1, Reversed: 1, Left: 2, DryRun: true}
		if u, err := r.Undo(t.Context(), "wrong", tasks.UndoRequest{DryRun: true}); err != nil || u != want {
			t.Errorf("a dry run: %+v, %v", u, err)
		}
		u := taskfixture.Must(r.Undo(t.Context(), "wrong", tasks.UndoRequest{Requester: "ana", Reason: "wrong file"}))(t)
		want.DryRun, want.UndoJobID = false, u.UndoJobID
		if u != want || u.UndoJobID == "" {
			t.Errorf("%+v", u)
		}
		if d := cmp.Diff(map[string]tasks.UserState{two: tasks.UserPending}, r.rows(u.UndoJobID)); d != "" {
			t.Error(d)
		}
		undoing := taskfixture.Must(r.Job(t.Context(), u.UndoJobID))(t)
		if undoing.Operation != tasks.Unblock || undoing.UndoOf != "wrong" || undoing.RequestedBy != "ana" || undoing.Reason != "wrong file" {
			t.Errorf("%+v", undoing)
		}
		r.counts("wrong", tasks.JobStatus{State: tasks.JobCanceled, Accepted: 4, Succeeded: 3, Canceled: 1})
		if _, err := r.Undo(t.Context(), u.UndoJobID, tasks.UndoRequest{}); !errors.Is(err, tasks.ErrUndo) {
			t.Errorf("an undo of an undo: %v", err)
		}
		r.succeed(u.UndoJobID)
		again, err := r.Undo(t.Context(), "wrong", tasks.UndoRequest{})
		if err != nil || again.Reversed != 0 || again.UndoJobID != "" {
			t.Errorf("again: %+v, %v", again, err)
		}
		if _, err := r.Undo(t.Context(), "none", tasks.UndoRequest{}); !errors.Is(err, tasks.ErrJobNotFound) {
			t.Errorf("of nothing: %v", err)
		}
		if _, err := r.Undo(t.Context(), "before", tasks.UndoRequest{Reason: strings.Repeat("x", 10_000)}); err == nil {
			t.Error("a reason of 10 KB was taken")
		}
		if _, err := r.Cancel(t.Context(), "since", false, tasks.WithReason("a\x00b")); err == nil {
			t.Error("a reason with a control character was taken")
		}
	})
}

// TestBothUndoUnblock: of those that are to be blocked again, protected ones are left.
func TestBothUndoUnblock(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		r.block("before", one, two)
		r.succeed("before")
		_, err := r.Unblock(t.Context(), []string{one, two}, tasks.WithJobID("wrong"))
		r.check(err)
		r.succeed("wrong")
		r.protect("staff", two)
		u, err := r.Undo(t.Context(), "wrong", tasks.UndoRequest{})
		if err != nil || u.Reversed != 1 || u.Left != 1 {
			t.Fatalf("%+v, %v", u, err)
		}
		if d := cmp.Diff(map[string]tasks.UserState{one: tasks.UserPending}, r.rows(u.UndoJobID)); d != "" {
			t.Error(d)
		}
	})
}

func TestBothEverywhere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		r.protect("staff", two)
		request := tasks.Request{JobID: "a", Reason: "spam"}
		for _, n := range []string{one, two, three} {
			request.Users = append(request.Users, taskfixture.Must(user.Parse(n))(t))
		}
		ids := []string{phoneNumberID, "200000000000001"}
		for repeated := range 2 {
			base, jobs, err := r.Everywhere(t.Context(), ids, request)
			if err != nil || base != "a" || len(jobs) != 2 {
				t.Fatalf("%q, %+v, %v", base, jobs, err)
			}
			for i, j := range jobs {
				if j.ID != tasks.EverywhereJobID("a", ids[i]) || j.PhoneNumberID != ids[i] || j.Accepted != 2 || len(j.Rejected) != 1 || j.Repeated != (repeated == 1) {
					t.Errorf("%+v", j)
				}
			}
		}
		r.counts("a@"+phoneNumberID, tasks.JobStatus{State: tasks.JobWaiting, Reason: "spam", Accepted: 2, Pending: 2, Rejected: 1, Standing: true})
		if _, _, err := r.Everywhere(t.Context(), nil, request); !errors.Is(err, tasks.ErrNoUsers) {
			t.Errorf("nowhere: %v", err)
		}
		request.Users = request.Users[1:2]
		if _, _, err := r.Everywhere(t.Context(), ids, request); !errors.Is(err, tasks.ErrNoUsers) {
			t.Errorf("the protected alone: %v", err)
		}
		if _, _, err := r.Everywhere(t.Context(), []string{"x"}, request); err == nil {
			t.Error("a bad phone number ID was taken")
		}
	})
}

func TestBothHeard(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig) {
		_, err := r.Block(t.Context(), []string{one, two}, tasks.WithJobID("a"), tasks.WithReason("spam"))
		r.check(err)
		r.die("a", tasks.CodeWindow)
		now := time.Now()
		got, err := r.Heard(t.Context(),
			tasks.HeardEvent{User: one, At: now}, tasks.HeardEvent{User: three, At: now}, tasks.HeardEvent{User: two, At: now.Add(-25 * time.Hour)},
			tasks.HeardEvent{WaID: "16505550001x", At: now}, tasks.HeardEvent{At: now}, tasks.HeardEvent{User: two, At: now.Add(time.Hour)})
		r.check(err)
		var lines []int
		for _, x := range got.Rejected {
			lines = append(lines, x.Line)
		}
		if got.Accepted != 3 || got.TooOld != 1 || got.Revived != 1 || !cmp.Equal(lines, []int{4, 5, 6}) {
			t.Errorf("%+v", got)
		}
		j := r.newest()
		if j.Operation != tasks.Block || j.RequestedBy != "heard" || j.Reason != "spam" || j.Pending != 1 {
			t.Errorf("%+v", j)
		}
		r.succeed(j.ID)
		if d := cmp.Diff(map[string]tasks.UserState{one: tasks.UserSucceeded}, r.rows(j.ID)); d != "" {
			t.Error(d)
		}
		again, err := r.Heard(t.Context(), tasks.HeardEvent{User: one, At: now})
		if err != nil || again.Revived != 0 {
			t.Errorf("who is blocked: %+v, %v", again, err)
		}
	})
}

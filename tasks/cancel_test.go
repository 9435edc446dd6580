package tasks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
)

// TestSteeringIsAudited: a cancel and an undo are in the audit log with who did it, and nothing that was not done is.
func TestSteeringIsAudited(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		p := taskfixture.Must(tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: taskfixture.PhoneNumberID, Via: "by the night shift"}))(t)
		taskfixture.Must(p.Block(t.Context(), []string{"+16505550001", "+16505550002"}, tasks.WithJobID("a")))(t)
		taskfixture.Must(p.Cancel(t.Context(), "a", true, tasks.WithRequester("ben")))(t)
		taskfixture.Must(p.Cancel(t.Context(), "a", false, tasks.WithRequester("ana"), tasks.WithReason("wrong file"), tasks.WithReference("T-1")))(t)
		if _, err := p.Cancel(t.Context(), "a", false, tasks.WithRequester("ben")); err == nil {
			t.Error("canceled twice")
		}
		taskfixture.Must(p.Undo(t.Context(), "a", tasks.UndoRequest{Requester: "ben", DryRun: true}))(t)
		taskfixture.Must(p.Undo(t.Context(), "a", tasks.UndoRequest{Requester: "eva", Reason: "to be sure"}))(t)
		got := taskfixture.Must(audit.Changes(t.Context(), rdb, audit.Event{}.At, 10))(t)
		want := []audit.Event{
			{Action: audit.Undo, By: "eva", PhoneNumberID: taskfixture.PhoneNumberID, JobID: "a", Users: 2, Reason: "to be sure", Detail: "by the night shift"},
			{Action: audit.Cancel, By: "ana", PhoneNumberID: taskfixture.PhoneNumberID, JobID: "a", Users: 2, Reason: "wrong file", Reference: "T-1", Detail: "by the night shift"},
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Event{}, "At", "User")); d != "" {
			t.Error(d)
		}
	})
}

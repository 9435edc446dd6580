package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// look sends a request without a body.
func (f *fixture) look(path string, headers ...string) result {
	f.Helper()
	return f.do(http.MethodGet, path, "", headers...)
}

func TestJobRoutes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setup(t, rdb)
		body := strings.TrimSuffix(users(num(1), num(2)), "}") + `,"reason":"phishing","reference":"T-17","for":"7d"}`
		made := f.post("/v1/block", body, "Idempotency-Key: spam-1")
		if made.status != http.StatusAccepted || made.header.Get("Location") != "/v1/jobs/spam-1" {
			t.Fatalf("%d %s", made.status, made.body)
		}
		j := value[tasks.JobStatus](t, f.look(made.header.Get("Location")))
		if j.Accepted != 2 || j.Pending != 2 || j.State != tasks.JobWaiting || j.Reason != "phishing" || j.Reference != "T-17" || j.Until.IsZero() || j.RequestedBy == "" {
			t.Errorf("%+v", j)
		}
		if got := f.look("/v1/jobs/spam-1", "Prefer: wait=0"); got.status != http.StatusOK || got.header.Get("Preference-Applied") != "wait=0" {
			t.Errorf("%d %v", got.status, got.header)
		}
		if list := value[struct{ Jobs []tasks.JobStatus }](t, f.look("/v1/jobs?state=waiting&limit=10")); len(list.Jobs) != 1 || list.Jobs[0].ID != "spam-1" {
			t.Errorf("%+v", list)
		}
		if got := f.look("/v1/jobs/spam-1/users.csv"); got.status != http.StatusOK || !strings.Contains(got.body, num(1)) || !strings.Contains(got.body, "pending") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if dry := value[tasks.Canceled](t, f.post("/v1/jobs/spam-1/cancel", `{"dry_run":true}`)); dry.Canceled != 2 || !dry.DryRun {
			t.Errorf("%+v", dry)
		}
		if done := value[tasks.Canceled](t, f.post("/v1/jobs/spam-1/cancel", `{}`)); done.Canceled != 2 || done.InFlight != 0 {
			t.Errorf("%+v", done)
		}
		f.problem(f.post("/v1/jobs/spam-1/cancel", `{}`), http.StatusConflict, "job-canceled")
		f.problem(f.post("/v1/block", users(num(1), num(2)), "Idempotency-Key: spam-1"), http.StatusConflict, "job-conflict") // for good
		f.problem(f.post("/v1/block", body, "Idempotency-Key: spam-1"), http.StatusConflict, "job-canceled")
		if undone := value[tasks.Undone](t, f.post("/v1/jobs/spam-1/undo", `{"reason":"wrong file"}`)); undone.Canceled != 2 || undone.Reversed != 0 || undone.UndoJobID != "" {
			t.Errorf("%+v", undone)
		}
		for _, path := range []string{"/v1/jobs/none", "/v1/jobs/none/users.csv"} {
			f.problem(f.look(path), http.StatusNotFound, "job-not-found")
		}
		f.problem(f.post("/v1/jobs/none/undo", `{}`), http.StatusNotFound, "job-not-found")
		f.problem(f.look("/v1/jobs?state=gone"), http.StatusUnprocessableEntity, "invalid-state")
		f.problem(f.look("/v1/jobs?limit=0"), http.StatusUnprocessableEntity, "invalid-limit")
		for field, code := range map[string]string{
			`"for":"-1d"`: "invalid-for", `"until":"friday"`: "invalid-until", `"for":"1d","until":"2099-01-01T00:00:00Z"`: "invalid-until",
			`"as_of":"2001-01-01T00:00:00Z"`: "invalid-request", `"until":"2001-01-01T00:00:00Z"`: "invalid-request", `"reason":"a\u0007b"`: "invalid-reason",
		} {
			f.problem(f.post("/v1/block", strings.TrimSuffix(users(num(3)), "}")+","+field+"}"), http.StatusUnprocessableEntity, code)
		}
		f.problem(f.post("/v1/unblock", strings.TrimSuffix(users(num(3)), "}")+`,"for":"1d"}`), http.StatusUnprocessableEntity, "invalid-request")
	})
}

// TestProtectedUsersAreRejected by the API as they are by the command.
func TestProtectedUsersAreRejected(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	f := setup(t, rdb)
	id, err := user.Parse(num(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := protect.Add(t.Context(), rdb, phoneNumberID, []user.ID{id}, "ours", "ana@trust"); err != nil {
		t.Fatal(err)
	}
	got := f.post("/v1/block", users(num(1), num(2)))
	if j := value[job](t, got); got.status != http.StatusAccepted || j.Accepted != 1 || len(j.Rejected) != 1 || !strings.Contains(j.Rejected[0].Reason, "ours") {
		t.Errorf("%d %s", got.status, got.body)
	}
	f.problem(f.post("/v1/block", users(num(1))), http.StatusUnprocessableEntity, "no-users")
	if got := f.post("/v1/unblock", users(num(1))); got.status != http.StatusAccepted {
		t.Errorf("%d %s", got.status, got.body)
	}
}

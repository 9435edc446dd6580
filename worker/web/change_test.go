package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

var queueBulk = asynq.Queue("bulk")

// seeded has two tasks in each state that matters, in wablock's queues and in a foreign one.
func seeded(t *testing.T) *fixture {
	t.Helper()
	f := setup(t)
	for _, q := range []string{"bulk", "dead-letter", "foreign"} {
		for _, id := range []string{"a", "b"} {
			f.enqueue("x", "{}", asynq.Queue(q), asynq.TaskID("pending-"+id))
			f.enqueue("x", "{}", asynq.Queue(q), asynq.TaskID("scheduled-"+id), asynq.ProcessIn(time.Hour))
		}
	}
	return f
}

func TestArchiveIsRefused(t *testing.T) {
	t.Parallel()
	f := seeded(t)
	for _, q := range []string{"bulk", "dead-letter", "foreign"} {
		for _, state := range []string{"pending", "scheduled", "retry"} {
			for _, path := range []string{
				"_tasks/" + state + "-a:archive", "_tasks:archive_all", "_tasks:batch_archive", "_tasks/%70ending-a%3Aarchive",
			} {
				path = "/monitor/api/queues/" + q + "/" + state + path
				f.refused(http.MethodPost, path, `{"task_ids":["`+state+`-b"]}`, "archive")
			}
		}
		group := "/monitor/api/queues/" + q + "/groups/g/aggregating_tasks"
		for _, path := range []string{"/a:archive", ":archive_all", ":batch_archive"} {
			f.refused(http.MethodPost, group+path, `{"task_ids":["a"]}`, "archive")
		}
	}
	if n := f.archived(); n != 0 {
		t.Errorf("%d tasks are archived", n)
	}
}

func TestWhatLosesSomethingIsRefused(t *testing.T) {
	t.Parallel()
	f := seeded(t)
	for _, c := range []struct{ method, path, why string }{
		{http.MethodDelete, "dead-letter/scheduled_tasks/scheduled-a", "wablock dead-letter discard"},
		{http.MethodDelete, "dead-letter/scheduled_tasks:delete_all", "wablock dead-letter discard"},
		{http.MethodPost, "dead-letter/scheduled_tasks:batch_delete", "wablock dead-letter discard"},
		{http.MethodDelete, "dead-letter/pending_tasks/pending-a", "wablock dead-letter discard"},
		{http.MethodDelete, "dead%2Dletter/scheduled_tasks/scheduled-a", "wablock dead-letter discard"},
		{http.MethodPost, "dead-letter/scheduled_tasks:run_all", "wablock dead-letter redrive --all"},
		{http.MethodDelete, "dead-letter", "wablock's own"},
		{http.MethodDelete, "interactive", "wablock's own"},
		{http.MethodDelete, "bulk", "wablock's own"},
		{http.MethodDelete, "reconcile", "wablock's own"},
		{http.MethodDelete, "bulk/pending_tasks/pending-a", "wablock unblock"},
		{http.MethodDelete, "bulk/pending_tasks:delete_all", "wablock unblock"},
		{http.MethodPost, "bulk/pending_tasks:batch_delete", "wablock unblock"},
		{http.MethodDelete, "bulk/retry_tasks:delete_all", "wablock unblock"},
		// Under another state's name the task is the same.
		{http.MethodDelete, "bulk/completed_tasks/pending-a", "wablock unblock"},
		{http.MethodDelete, "bulk/scheduled_tasks/pending-a", "wablock unblock"},
		{http.MethodDelete, "bulk/groups/g/aggregating_tasks/pending-a", "wablock unblock"},
		// A delayed job that ran early would beat every request until its time.
		{http.MethodPost, "bulk/scheduled_tasks/scheduled-a:run", "delayed job"},
		{http.MethodPost, "bulk/retry_tasks/scheduled-a:run", "delayed job"},
		{http.MethodPost, "bulk/scheduled_tasks:run_all", "delayed job"},
		{http.MethodPost, "bulk/scheduled_tasks:batch_run", "delayed job"},
	} {
		f.refused(c.method, "/monitor/api/queues/"+c.path, `{"task_ids":["scheduled-b","pending-b"]}`, c.why)
	}
	for _, q := range []string{"bulk", "dead-letter"} {
		info, err := f.inspector.GetQueueInfo(q)
		if err != nil || info.Pending != 2 || info.Scheduled != 2 {
			t.Errorf("%s: %+v, %v; want all tasks where they were", q, info, err)
		}
	}
}

// refused expects 403 with a reason in JSON.
func (f *fixture) refused(method, path, body, why string) {
	f.t.Helper()
	got := f.do(method, path, body)
	var reason struct{ Error string }
	if err := json.Unmarshal([]byte(got.body), &reason); err != nil || got.status != http.StatusForbidden || !strings.Contains(reason.Error, why) {
		f.t.Errorf("%s %s = %d %q; want 403 with %q", method, path, got.status, got.body, why)
	}
}

func TestAllowedChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // in the answer
		queue              string
		after              asynq.QueueInfo // of which the counts are compared
	}{
		{http.MethodPost, "dead-letter/scheduled_tasks/scheduled-a:run", "", 204, "", "dead-letter", asynq.QueueInfo{Pending: 3, Scheduled: 1}},
		{
			http.MethodPost, "dead-letter/scheduled_tasks:batch_run", `{"task_ids":["scheduled-a","scheduled-b","nobody"]}`, 200,
			`{"error_ids":["nobody"],"pending_ids":["scheduled-a","scheduled-b"]}`, "dead-letter",
			asynq.QueueInfo{Pending: 4},
		},
		{http.MethodPost, "foreign/scheduled_tasks:run_all", "", 200, `{"scheduled":2}`, "foreign", asynq.QueueInfo{Pending: 4}},
		{
			http.MethodPost, "bulk/archived_tasks:batch_run", `{"task_ids":["scheduled-a"]}`, 200,
			`{"error_ids":["scheduled-a"],"pending_ids":[]}`, "bulk",
			asynq.QueueInfo{Pending: 2, Scheduled: 2},
		},
		{
			http.MethodPost, "bulk/completed_tasks:batch_delete", `{"task_ids":["pending-a","scheduled-a"]}`, 200,
			`{"deleted_ids":["scheduled-a"],"failed_ids":["pending-a"]}`, "bulk",
			asynq.QueueInfo{Pending: 2, Scheduled: 1},
		},
		{http.MethodDelete, "bulk/scheduled_tasks/scheduled-a", "", 204, "", "bulk", asynq.QueueInfo{Pending: 2, Scheduled: 1}},
		{
			http.MethodPost, "bulk/scheduled_tasks:batch_delete", `{"task_ids":["scheduled-a"]}`, 200,
			`{"deleted_ids":["scheduled-a"],"failed_ids":[]}`, "bulk",
			asynq.QueueInfo{Pending: 2, Scheduled: 1},
		},
		{http.MethodDelete, "foreign/pending_tasks:delete_all", "", 200, `{"deleted":2}`, "foreign", asynq.QueueInfo{Scheduled: 2}},
		{
			http.MethodPost, "bulk/active_tasks:batch_cancel", `{"task_ids":["x"]}`, 200,
			`{"canceled_ids":["x"],"error_ids":[]}`, "bulk",
			asynq.QueueInfo{Pending: 2, Scheduled: 2},
		},
		{http.MethodPost, "bulk:pause", "", 204, "", "bulk", asynq.QueueInfo{Pending: 2, Scheduled: 2, Paused: true}},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			t.Parallel()
			f := seeded(t)
			got := f.do(c.method, "/monitor/api/queues/"+c.path, c.body)
			if got.status != c.status || strings.TrimSpace(got.body) != c.want {
				t.Errorf("%d %s; want %d %s", got.status, got.body, c.status, c.want)
			}
			info, err := f.inspector.GetQueueInfo(c.queue)
			if err != nil || info.Pending != c.after.Pending || info.Scheduled != c.after.Scheduled || info.Paused != c.after.Paused {
				t.Errorf("the queue is %+v, %v; want %+v", info, err, c.after)
			}
		})
	}
}

func TestUnknownActions(t *testing.T) {
	t.Parallel()
	f := seeded(t)
	for _, r := range []struct{ method, path string }{
		{http.MethodPost, "queues"},
		{http.MethodPost, "queues/bulk"},
		{http.MethodPost, "queues/bulk:explode"},
		{http.MethodPost, "queues/bulk/pending_tasks/pending-a"},
		{http.MethodPost, "queues/bulk/pending_tasks:archive"},
		{http.MethodPost, "queues/bulk/pending_tasks:all"},
		{http.MethodPost, "queues/bulk/groups/g"},
		{http.MethodDelete, "queues/bulk/tasks/pending-a"},
		{http.MethodDelete, "servers"},
		{http.MethodPost, "queues/bulk/pending_tasks/a/b:archive"},
	} {
		if got := f.do(r.method, "/monitor/api/"+r.path, ""); got.status != http.StatusNotFound {
			t.Errorf("%s %s = %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

// Pausing a queue of wablock's does not do what people expect of it, and the answer says so.
func TestPauseHasANote(t *testing.T) {
	t.Parallel()
	f := seeded(t)
	for queue, noted := range map[string]bool{"bulk": true, "foreign": false, "dead-letter": false} {
		got := f.do(http.MethodPost, "/monitor/api/queues/"+queue+":pause", "")
		if got.status != http.StatusNoContent || (got.header.Get("Wablock-Note") != "") != noted {
			t.Errorf("%s: %d, note %q", queue, got.status, got.header.Get("Wablock-Note"))
		}
	}
	if got := f.do(http.MethodPost, "/monitor/api/queues/bulk:resume", ""); got.header.Get("Wablock-Note") != "" {
		t.Error("resuming has a note")
	}
}

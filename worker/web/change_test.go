package web_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/taskfixture"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web"
	"github.com/wablock/wablock/worker/web/access"
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

// All changes but those of single dead letters are refused, with what to do in their place.
func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	f := seeded(t)
	for _, c := range []struct{ method, path, why string }{
		{http.MethodDelete, "dead-letter/scheduled_tasks:delete_all", "wablock dead-letter discard"},
		{http.MethodPost, "dead-letter/scheduled_tasks:batch_delete", "wablock dead-letter discard"},
		{http.MethodPost, "dead-letter/scheduled_tasks:run_all", "wablock dead-letter redrive"},
		{http.MethodPost, "dead-letter/scheduled_tasks:batch_run", "wablock dead-letter redrive"},
		{http.MethodPost, "dead-letter/scheduled_tasks/scheduled-a", "wablock dead-letter"},
		{http.MethodPost, "dead-letter:pause", "stop the workers"},
		{http.MethodDelete, "dead-letter", "wablock's own"},
		{http.MethodDelete, "interactive", "wablock's own"},
		{http.MethodDelete, "bulk", "wablock's own"},
		{http.MethodDelete, "reconcile", "wablock's own"},
		{http.MethodPost, "bulk:pause", "stop the workers"},
		{http.MethodPost, "bulk:resume", "stop the workers"},
		{http.MethodDelete, "bulk/pending_tasks/pending-a", "wablock unblock"},
		{http.MethodDelete, "bulk/pending_tasks:delete_all", "wablock unblock"},
		{http.MethodPost, "bulk/pending_tasks:batch_delete", "wablock unblock"},
		{http.MethodDelete, "bulk/retry_tasks:delete_all", "wablock unblock"},
		{http.MethodDelete, "bulk/completed_tasks:delete_all", "wablock unblock"},
		{http.MethodDelete, "bulk/groups/g/aggregating_tasks/pending-a", "wablock unblock"},
		// Accepted delayed jobs.
		{http.MethodDelete, "bulk/scheduled_tasks/scheduled-a", "wablock unblock"},
		{http.MethodDelete, "bulk/scheduled_tasks:delete_all", "wablock unblock"},
		{http.MethodPost, "bulk/scheduled_tasks:batch_delete", "wablock unblock"},
		{http.MethodPost, "bulk/scheduled_tasks/scheduled-a:run", "without --delay"},
		{http.MethodPost, "bulk/retry_tasks/scheduled-a:run", "without --delay"},
		{http.MethodPost, "bulk/scheduled_tasks:run_all", "without --delay"},
		{http.MethodPost, "bulk/scheduled_tasks:batch_run", "without --delay"},
		{http.MethodPost, "bulk/active_tasks/x:cancel", "in flight"},
		{http.MethodPost, "bulk/active_tasks:batch_cancel", "in flight"},
		{http.MethodPost, "bulk/active_tasks:cancel_all", "in flight"},
		{http.MethodPost, "foreign:pause", "stop the workers"},
		{http.MethodDelete, "foreign", "asynq's own tools"},
		{http.MethodPost, "foreign/scheduled_tasks:run_all", "asynq's own tools"},
		{http.MethodDelete, "foreign/pending_tasks:delete_all", "asynq's own tools"},
		{http.MethodDelete, "foreign/scheduled_tasks/scheduled-a", "asynq's own tools"},
		// Paths that asynqmon does not have.
		{http.MethodPost, "", "only dead letters"},
		{http.MethodPost, "bulk", "wablock's own"},
		{http.MethodPost, "bulk/groups/g", "only dead letters"},
		{http.MethodPost, "dead-letter/scheduled_tasks/a/b:run", "one dead letter at a time"},
	} {
		f.refused(c.method, "/monitor/api/queues/"+c.path, `{"task_ids":["scheduled-b","pending-b"]}`, c.why)
	}
	for _, q := range []string{"bulk", "dead-letter", "foreign"} {
		for _, state := range []string{"pending", "scheduled", "retry"} {
			for _, path := range []string{
				"_tasks/" + state + "-a:archive", "_tasks:archive_all", "_tasks:batch_archive", "_tasks/%70ending-a%3Aarchive",
			} {
				f.refused(http.MethodPost, "/monitor/api/queues/"+q+"/"+state+path, `{"task_ids":["`+state+`-b"]}`, "archive")
			}
		}
	}
	if n := f.archived(); n != 0 {
		t.Errorf("%d tasks are archived", n)
	}
	for _, q := range []string{"bulk", "dead-letter", "foreign"} {
		info, err := f.inspector.GetQueueInfo(q)
		if err != nil || info.Pending != 2 || info.Scheduled != 2 || info.Paused {
			t.Errorf("%s: %+v, %v; want all tasks where they were", q, info, err)
		}
	}
	f.refused(http.MethodDelete, "/monitor/api/servers", "", "only dead letters")
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

// A delayed job that was accepted stays accepted: no number of clicks removes it.
func TestDelayedJobSurvivesDeleteAll(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		f := setupOn(t, rdb)
		p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: businessNumber})
		if err != nil {
			t.Fatal(err)
		}
		job, err := p.Unblock(t.Context(), []string{"+16505551234"}, tasks.WithDelay(7*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		f.refused(http.MethodDelete, "/monitor/api/queues/interactive/scheduled_tasks:delete_all", "", "wablock block")
		for _, id := range fields(t, f.get("/monitor/api/queues/interactive/scheduled_tasks"), "id") {
			f.refused(http.MethodDelete, "/monitor/api/queues/interactive/scheduled_tasks/"+id, "", "wablock block")
		}
		status, err := p.Tasks(t.Context(), job.ID)
		if err != nil || status.Tasks != 1 {
			t.Errorf("the job is %+v, %v; want its task in place", status, err)
		}
	})
}

// One dead letter is discarded, in the ledger too; what runs is left to the worker.
func TestOneDeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		var log bytes.Buffer
		f := setupOn(t, rdb, func(c *web.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
		ctx := t.Context()
		l, dead := ledger.New(rdb, businessNumber), deadletter.New(rdb)
		users := f.fail(l, "+16505550001", "+16505550002")
		f.enqueue("x", "{}", asynq.Queue("dead-letter"), asynq.TaskID("stray"), asynq.ProcessIn(time.Hour))
		path := func(u user.ID) string {
			e, ok := taskfixture.Letter(t, dead, businessNumber, u)
			if !ok {
				t.Fatal("no dead letter")
			}
			return "/monitor/api/queues/dead-letter/scheduled_tasks/" + e.ID
		}
		run, gone := path(users[0])+":run", path(users[1])
		if err := protect.Add(ctx, rdb, businessNumber, users[:1], "our staff", "ana"); err != nil {
			t.Fatal(err)
		}
		if got := f.do(http.MethodPost, run, ""); got.status != http.StatusConflict || !strings.Contains(got.body, "our staff") {
			t.Errorf("running the entry of a protected user: %d %s", got.status, got.body)
		}
		if _, err := protect.Remove(ctx, rdb, businessNumber, users[:1]); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{http.MethodPost, run, http.StatusNoContent},
			{http.MethodDelete, gone, http.StatusNoContent},
			{http.MethodDelete, gone, http.StatusNotFound},
			{http.MethodPost, gone + ":run", http.StatusNotFound},
			{http.MethodDelete, "/monitor/api/queues/dead-letter/scheduled_tasks/stray", http.StatusNoContent},
		} {
			if got := f.do(c.method, c.path, ""); got.status != c.status {
				t.Errorf("%s %s = %d %s; want %d", c.method, c.path, got.status, got.body, c.status)
			}
		}
		info, err := f.inspector.GetQueueInfo("dead-letter")
		if err != nil || info.Pending != 1 || info.Scheduled != 0 {
			t.Errorf("the queue is %+v, %v; want one entry to be redriven", info, err)
		}
		entries, err := l.Entries(ctx, users)
		if err != nil || entries[0].State != ledger.Dead || entries[1].State != ledger.Discarded {
			t.Errorf("the ledger holds %+v, %v", entries, err)
		}
		for _, want := range []string{
			`"msg":"web: changed","method":"POST","path":"` + run + `","remote":"192.0.2.1:1234"`,
			`"msg":"web: changed","method":"DELETE","path":"` + gone + `","remote":"192.0.2.1:1234"`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %s:\n%s", want, &log)
			}
		}
		events, err := audit.Read(ctx, rdb, time.Time{}, 10)
		if err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v; want those of the three changes", len(events), err)
		}
		if e := events[2]; e.Action != audit.Redrive || e.By != "local from 192.0.2.1" || e.PhoneNumberID != businessNumber || events[1].Action != audit.Discard {
			t.Errorf("the events are %+v", events)
		}
	})
}

// fail makes users fail for good, with an entry each among the dead letters.
func (f *fixture) fail(l *ledger.Ledger, numbers ...string) []user.ID {
	f.t.Helper()
	ctx := f.t.Context()
	v, err := l.NextVersion(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	var users []user.ID
	var requests []ledger.Request
	var settlements []ledger.Settlement
	for _, n := range numbers {
		u, err := user.FromCanonical(n)
		if err != nil {
			f.t.Fatal(err)
		}
		users = append(users, u)
		requests = append(requests, ledger.Request{User: u, Operation: ledger.Block, Version: v, Queue: ledger.Bulk})
		settlements = append(settlements, ledger.Settlement{
			User: u, Version: v, Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047, Message: "Re-engagement message"},
		})
	}
	if _, err := l.Mark(ctx, requests); err != nil {
		f.t.Fatal(err)
	}
	if _, err := l.Claim(ctx, ledger.ClaimOptions{ID: "c", Max: len(users), Timeout: 10 * time.Minute}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := l.Settle(ctx, "c", settlements); err != nil {
		f.t.Fatal(err)
	}
	entries, err := l.Entries(ctx, users)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		if err := deadletter.New(f.rdb).Put(ctx, deadletter.Of(businessNumber, e)); err != nil {
			f.t.Fatal(err)
		}
	}
	return users
}

// A log line about a change holds no number, whatever the path.
func TestChangesAreLoggedMasked(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f := setup(t, func(c *web.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	f.do(http.MethodDelete, "/monitor/api/queues/bulk/scheduled_tasks/block-16505551234", "")
	f.do(http.MethodPost, "/monitor/api/queues/dead-letter/scheduled_tasks/+16505551234:run", "")
	if strings.Contains(log.String(), "16505551234") || strings.Count(log.String(), `"path":"/monitor/api/queues/`) != 2 {
		t.Errorf("the log is\n%s", &log)
	}
}

// TestPagesByScope: every token sees, and what it may change its scope says.
func TestPagesByScope(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("r read read-token\nw write write-token\na admin admin-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	const entry = "/monitor/api/queues/dead-letter/scheduled_tasks/none"
	for name, c := range map[string]struct {
		readOnly            bool
		token               string
		get, run, deleteOne int
	}{
		"none":             {false, "", 401, 401, 401},
		"read":             {false, "read-token", 200, 403, 403},
		"write":            {false, "write-token", 200, 404, 403},
		"admin":            {false, "admin-token", 200, 404, 404},
		"admin, read only": {true, "admin-token", 200, 403, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			control, err := access.Open(access.Config{File: path, ReadOnly: c.readOnly})
			if err != nil {
				t.Fatal(err)
			}
			f := setup(t, func(cfg *web.Config) { cfg.Access = control })
			for _, r := range []struct {
				method, path string
				want         int
			}{{http.MethodGet, "/monitor/api/queues", c.get}, {http.MethodPost, entry + ":run", c.run}, {http.MethodDelete, entry, c.deleteOne}} {
				if got := f.do(r.method, r.path, "", "Authorization: Bearer "+c.token); got.status != r.want {
					t.Errorf("%s %s = %d %s, want %d", r.method, r.path, got.status, got.body, r.want)
				}
			}
		})
	}
}

package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

// change is what a POST or DELETE to asynqmon's API would do.
type change struct {
	queue string
	state string // of the tasks: "pending"; "" when the queue itself is meant
	id    string // of one task; "" when several are meant
	verb  string // pause, resume, delete, run, archive, cancel
	all   bool   // every task of that state
	batch bool   // the tasks that the body names
}

// parseChange reads a path under the API's root as asynqmon's router does; ok is false for what
// the API does not have.
func parseChange(method, path string) (c change, ok bool) {
	segments := strings.Split(path, "/")
	if len(segments) < 2 || segments[0] != "queues" || slices.Contains(segments, "") {
		return change{}, false
	}
	c.queue = segments[1]
	rest := segments[2:]
	if len(rest) == 0 {
		if method == http.MethodDelete {
			c.verb = "delete"
			return c, true
		}
		c.queue, c.verb = cutLast(c.queue)
		return c, c.verb == "pause" || c.verb == "resume"
	}
	if len(rest) > 2 && rest[0] == "groups" {
		rest = rest[2:]
	}
	tasks := rest[0]
	switch len(rest) {
	case 1: // scheduled_tasks:run_all, scheduled_tasks:batch_run
		verb := ""
		tasks, verb = cutLast(tasks)
		if v, found := strings.CutSuffix(verb, "_all"); found {
			c.verb, c.all = v, true
		} else {
			c.verb, c.batch = strings.CutPrefix(verb, "batch_")
		}
		ok = c.all || c.batch
	case 2: // scheduled_tasks/ID, scheduled_tasks/ID:run
		c.id, c.verb = rest[1], "delete"
		if method == http.MethodPost {
			c.id, c.verb = cutLast(rest[1])
		}
		ok = c.id != ""
	}
	var found bool
	c.state, found = strings.CutSuffix(tasks, "_tasks")
	return c, ok && found && slices.Contains([]string{"delete", "run", "archive", "cancel"}, c.verb)
}

// cutLast splits at the last colon: IDs and names may hold others.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// own reports whether a queue is one that wablock works with.
func own(queue string) bool { return ledger.Queue(queue).Valid() || queue == tasks.QueueDeadLetter }

// refusal says why a change is not made, "" when it is.
func (c change) refusal() string {
	switch {
	case c.verb == "archive":
		return "asynq's archive drops tasks without a word once it holds 10,000, so wablock lets nothing be put there"
	case c.state == "" && c.verb == "delete" && own(c.queue):
		return "this queue is wablock's own: running workers would not list it again"
	case c.queue == tasks.QueueDeadLetter && c.verb == "delete":
		return "deleting the task alone would leave its number dead-lettered in the ledger: use `wablock dead-letter discard`"
	case c.queue == tasks.QueueDeadLetter && c.verb == "run" && c.all:
		return "running a whole dead-letter queue at once holds up Redis: use `wablock dead-letter redrive --all`, which goes in steps, or run the tasks of a page"
	case c.verb == "delete" && own(c.queue) && (c.state == "pending" || c.state == "retry"):
		return "deleting a task does not call its numbers off, the ledger wants them: enqueue the opposite with `wablock block` or `wablock unblock`"
	case c.verb == "run" && own(c.queue) && c.queue != tasks.QueueDeadLetter && c.state == "scheduled":
		return "a delayed job counts as asked for at its time, and a worker that gets it before puts it back: enqueue its numbers anew, without a delay, and delete it"
	default:
		return ""
	}
}

// note says what a change that is made does not do, "" for nothing that is worth it.
func (c change) note() string {
	if c.verb == "pause" && own(c.queue) && c.queue != tasks.QueueDeadLetter {
		return "Paused, but this does not stop calls: workers take users from the ledger. Stop the workers for that; nothing is lost meanwhile."
	}
	return ""
}

// noteHeader carries a note to the page.
const noteHeader = "Wablock-Note"

// actual returns the change with the state that its task is really in: for asynqmon the state
// in a path is only a word, and by its name a task is changed whatever state it is in.
func (m *monitor) actual(c change, id string) change {
	if own(c.queue) {
		if info, err := m.inspector.GetTaskInfo(c.queue, id); err == nil {
			c.state = info.State.String()
		}
	}
	return c
}

func (m *monitor) serveChange(w http.ResponseWriter, r *http.Request, path string) {
	c, ok := parseChange(r.Method, path)
	if !ok {
		refuse(w, http.StatusNotFound, "asynqmon's API has no such action")
		return
	}
	reason := c.refusal()
	if reason == "" && c.id != "" {
		reason = m.actual(c, c.id).refusal()
	}
	if reason != "" {
		refuse(w, http.StatusForbidden, reason)
		return
	}
	if note := c.note(); note != "" {
		w.Header().Set(noteHeader, note)
	}
	if c.batch {
		m.serveBatch(w, r, c)
		return
	}
	m.serveMasked(w, r)
}

// serveBatch does a batch itself: asynqmon prints the ID of each task that it fails at.
func (m *monitor) serveBatch(w http.ResponseWriter, r *http.Request, c change) {
	var req struct {
		TaskIDs []string `json:"task_ids"`
	}
	dec := json.NewDecoder(r.Body) // bounded by New
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil || len(req.TaskIDs) > maxPageSize {
		refuse(w, http.StatusBadRequest, `send {"task_ids": [...]} with at most 100 IDs`)
		return
	}
	done, failed := []string{}, []string{}
	for _, alias := range req.TaskIDs {
		id, ok := m.aliases.in(alias)
		if !ok || m.actual(c, id).refusal() != "" || m.apply(c, id) != nil {
			failed = append(failed, alias)
			continue
		}
		done = append(done, alias)
	}
	if len(failed) > 0 {
		m.log.WarnContext(r.Context(), "web: some tasks were not changed", "verb", c.verb, "failed", len(failed), "done", len(done))
	}
	names := map[string][2]string{
		"cancel": {"canceled_ids", "error_ids"},
		"delete": {"deleted_ids", "failed_ids"},
		"run":    {"pending_ids", "error_ids"},
	}[c.verb]
	writeJSON(w, http.StatusOK, map[string][]string{names[0]: done, names[1]: failed})
}

func (m *monitor) apply(c change, id string) error {
	switch c.verb {
	case "cancel":
		return m.inspector.CancelProcessing(id)
	case "delete":
		return m.inspector.DeleteTask(c.queue, id)
	default:
		return m.inspector.RunTask(c.queue, id)
	}
}

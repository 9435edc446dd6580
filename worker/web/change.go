package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/worker/web/access"
)

// entryPath matches what asynqmon requests to run (with the suffix) or delete one dead letter.
var entryPath = regexp.MustCompile(`^queues/` + queues.DeadLetter + `/[a-z]+_tasks/([^/]+?)(:run)?$`)

// changes makes the two changes that the pages offer: it redrives or discards one dead letter.
// It refuses all others, and logs every request. asynqmon itself changes nothing.
type changes struct {
	inspector *asynq.Inspector
	rdb       redis.UniversalClient
	dead      *deadletter.Queue
	access    *access.Control
	log       *slog.Logger
}

func (c *changes) serve(w http.ResponseWriter, r *http.Request, path string) {
	caller := access.From(r.Context())
	log := c.log.With("method", r.Method, "path", maskPath(r.URL.Path), "remote", r.RemoteAddr, "by", caller.Name)
	entry := entryPath.FindStringSubmatch(path)
	if entry == nil || (entry[2] != "") != (r.Method == http.MethodPost) {
		log.InfoContext(r.Context(), "web: change refused")
		refuse(w, http.StatusForbidden, refusal(r.Method, path))
		return
	}
	change, action, needs := c.discard, audit.Discard, access.Admin
	if r.Method == http.MethodPost {
		change, action, needs = c.run, audit.Redrive, access.Write
	}
	if err := c.access.Allow(caller, needs); err != nil {
		log.InfoContext(r.Context(), "web: change refused")
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	err := change(r.Context(), entry[1])
	switch {
	case err == nil:
		log.InfoContext(r.Context(), "web: changed")
		c.record(r, action, entry[1])
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, deadletter.ErrProtected):
		log.InfoContext(r.Context(), "web: change refused, the user is protected")
		refuse(w, http.StatusConflict, err.Error())
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		log.InfoContext(r.Context(), "web: change of an entry that does not exist")
		refuse(w, http.StatusNotFound, "this entry no longer exists: reload the page")
	default:
		reason := maskText(err.Error())
		log.WarnContext(r.Context(), "web: change failed", "error", reason)
		refuse(w, http.StatusInternalServerError, reason)
	}
}

// record writes a change into the audit log.
func (c *changes) record(r *http.Request, action audit.Action, id string) {
	by := access.From(r.Context()).Name
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		by += " from " + host
	}
	e := audit.Event{Action: action, By: by, Users: 1, Detail: "on the web page"}
	if phoneNumberID, _, ok := strings.Cut(id, ":"); ok && queues.CheckPhoneNumberID(phoneNumberID) == nil { // not of a malformed task
		e.PhoneNumberID = phoneNumberID
	}
	if err := audit.Record(r.Context(), c.rdb, e); err != nil {
		c.log.WarnContext(r.Context(), "web: a change could not be written into the audit log", "error", err.Error())
	}
}

// refusal returns why a change is not made, with what to do in its place.
func refusal(method, path string) string {
	segments := strings.Split(path, "/")
	queue, verb := "", "delete"
	if len(segments) > 1 {
		queue, _, _ = strings.Cut(segments[1], ":")
	}
	if method == http.MethodPost {
		verb = path[strings.LastIndexByte(path, ':')+1:]
		verb = strings.TrimSuffix(strings.TrimPrefix(verb, "batch_"), "_all")
	}
	dead, own := queue == queues.DeadLetter, ledger.Queue(queue).Valid()
	switch {
	case verb == "archive":
		return "asynq's archive silently drops tasks beyond 10,000, so wablock uses none: for dead letters use `wablock dead-letter redrive` or `discard`"
	case verb == "pause" || verb == "resume":
		return "pausing a queue does not stop calls, since workers take users from the ledger: stop the workers, which loses nothing, or slow them down with `wablock limits cap`"
	case len(segments) == 2 && (dead || own):
		return "this queue is wablock's own and stays: see `wablock dead-letter`, `wablock block` and `wablock unblock` for what changes its content"
	case dead && verb == "delete":
		return "this page deletes one dead letter at a time: use `wablock dead-letter discard` for several, with --code or --all"
	case dead && verb == "run":
		return "this page runs one dead letter at a time: use `wablock dead-letter redrive` for several, with --code or --all"
	case own && verb == "delete":
		return "deleting a task does not withdraw its numbers, which the ledger still holds: request the opposite with `wablock block` or `wablock unblock`"
	case own && verb == "run":
		return "workers run tasks when their users are due, and put back what is run early: request a delayed job's numbers anew with `wablock block` or `wablock unblock`, without --delay"
	case own && verb == "cancel":
		return "a call in flight can't be withdrawn: request the opposite with `wablock block` or `wablock unblock`"
	default:
		return "this page changes only dead letters, one at a time: use `wablock dead-letter`, or asynq's own tools for queues of other programs"
	}
}

// run makes an entry pending, and the worker that consumes the queue redrives it.
func (c *changes) run(ctx context.Context, id string) error {
	if err := deadletter.CheckRedrive(ctx, c.dead, id); err != nil {
		return err
	}
	return c.inspector.RunTask(queues.DeadLetter, id)
}

// discard deletes an entry, and lets the ledger know.
func (c *changes) discard(ctx context.Context, id string) error {
	n, err := c.dead.Discard(ctx, deadletter.Filter{IDs: []string{id}}, deadletter.DiscardOptions{})
	if err == nil && n == 0 {
		return asynq.ErrTaskNotFound
	}
	return err
}

package api

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/traces"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/overview"
)

// Config holds what the API is made from.
type Config struct {
	// Redis is shared with the worker, and never closed here. Required.
	Redis redis.UniversalClient
	// Access admits callers. Nil: those of this machine.
	Access *access.Control
	// PhoneNumberID is that of requests that name none; "" when they have to.
	PhoneNumberID string
	// PhoneNumberIDs are all that are configured: those of a block everywhere.
	PhoneNumberIDs []string
	// Country is the one whose national numbers requests may hold; zero for none.
	Country user.Country
	// Jobs bound what is kept of jobs; the zero value is that of [tasks.ProducerConfig].
	Jobs ledger.JobLimits
	// Names bound what is kept of users' names; likewise.
	Names ledger.NameLimits
	// Limits returns the learnt rate limits, of one phone number ID or with "" of all: a list of what
	// `limits show` answers. Nil: an empty list.
	Limits func(ctx context.Context, phoneNumberID string) (any, error)
	// Overview reads how the system stands. Nil: one that knows of no configuration.
	Overview *overview.Reader
	// Logger may be nil for none.
	Logger *slog.Logger
}

// server answers the routes.
type server struct {
	cfg      Config
	producer *tasks.Producer
	dead     *deadletter.Queue
}

//go:embed openapi.json
var openAPI []byte

// answer holds the answer of a route when there is no error.
type answer struct {
	status int
	header map[string]string
	body   any
	raw    []byte // in place of body
}

// route is one entry of the table.
type route struct {
	pattern string
	needs   access.Scope // 0: no token
	class   func(*http.Request) *class
	kinds   []string // media types of the body; none: it has none
	handle  func(ctx context.Context, r *http.Request, b body) (answer, error)
}

func (s *server) routes(c *classes) []route {
	return []route{
		{"POST /v1/block", access.Write, c.change, []string{kindJSON, kindCSV, kindPlain}, s.change(tasks.Block)},
		{"POST /v1/unblock", access.Write, c.change, []string{kindJSON, kindCSV, kindPlain}, s.change(tasks.Unblock)},
		{"GET /v1/jobs", access.Read, always(c.look), nil, s.jobs},
		{"GET /v1/jobs/{id}", access.Read, always(c.wait), nil, s.job},
		{"GET /v1/jobs/{id}/users.csv", access.Read, always(c.dead), nil, s.jobUsers},
		{"POST /v1/jobs/{id}/cancel", access.Write, always(c.dead), []string{kindJSON, kindNone}, s.cancelJob},
		{"POST /v1/jobs/{id}/undo", access.Write, always(c.dead), []string{kindJSON, kindNone}, s.undoJob},
		{"POST /v1/status", access.Read, always(c.look), []string{kindJSON}, s.status},
		{"GET /v1/dead-letters", access.Read, always(c.dead), nil, s.listDeadLetters},
		{"POST /v1/dead-letters/redrive", access.Write, always(c.dead), []string{kindJSON}, s.redrive},
		{"POST /v1/dead-letters/discard", access.Admin, always(c.dead), []string{kindJSON}, s.discard},
		{"GET /v1/overview", access.Read, always(c.look), nil, s.overview},
		{"GET /v1/limits", access.Read, always(c.look), nil, s.limits},
		{"POST /v1/phone-numbers/{id}/pause", access.Admin, always(c.look), []string{kindJSON}, s.pause},
		{"POST /v1/phone-numbers/{id}/resume", access.Admin, always(c.look), []string{kindJSON, kindNone}, s.resume},
		{"POST /v1/heard", access.Write, always(c.heard), []string{kindJSON}, s.heard},
		{"GET /v1/openapi.json", 0, always(c.open), nil, s.description},
	}
}

// New returns the handler of everything under /v1/. It reads nothing from Redis yet.
func New(cfg Config) (http.Handler, error) {
	if cfg.Access == nil {
		cfg.Access = new(access.Control)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Overview == nil {
		cfg.Overview = overview.NewReader(overview.Config{Redis: cfg.Redis})
	}
	if cfg.Limits == nil {
		cfg.Limits = func(context.Context, string) (any, error) { return []any{}, nil }
	}
	s := &server{cfg: cfg, dead: deadletter.New(cfg.Redis)}
	var err error
	if s.producer, err = s.newProducer(cfg.PhoneNumberID); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, rt := range s.routes(newClasses()) {
		mux.Handle(rt.pattern, s.serve(rt))
	}
	csrf := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := csrf.Check(r); err != nil {
			newProblem(http.StatusForbidden, "cross-site", "this request came from a page of another site").write(w)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			s.missing(w, r, mux)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

func (s *server) newProducer(phoneNumberID string) (*tasks.Producer, error) {
	return tasks.NewProducer(s.cfg.Redis, tasks.ProducerConfig{PhoneNumberID: phoneNumberID, Jobs: s.cfg.Jobs, Names: s.cfg.Names, Logger: s.cfg.Logger, Via: via})
}

// missing answers where there is no route, to callers who are admitted.
func (s *server) missing(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	if _, err := s.admit(w, r, access.Read); err != nil {
		asProblem(err).write(w)
		return
	}
	p := newProblem(http.StatusNotFound, "not-found", "there is no such path; /v1/openapi.json has those that there are")
	var found probe
	mux.ServeHTTP(&found, r)
	if allow := found.Header().Get("Allow"); allow != "" {
		p = newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "this path takes "+allow)
		p.allow = allow
	}
	p.write(w)
}

// probe takes an answer of the mux's own, for its header.
type probe struct{ header http.Header }

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

func (p *probe) WriteHeader(int) {}

// admit returns who sent a request, if that may do what needs a scope.
func (s *server) admit(w http.ResponseWriter, r *http.Request, needs access.Scope) (access.Caller, error) {
	caller, err := s.cfg.Access.Admit(r)
	switch {
	case errors.Is(err, access.ErrHost):
		w.Header().Set("Connection", "close")
		return caller, newProblem(http.StatusMisdirectedRequest, "wrong-host", err.Error())
	case err != nil:
		w.Header().Set("Connection", "close")
		w.Header().Set("WWW-Authenticate", `Bearer realm="wablock"`)
		return caller, newProblem(http.StatusUnauthorized, "unauthorized", err.Error())
	}
	switch err := s.cfg.Access.Allow(caller, needs); {
	case errors.Is(err, access.ErrReadOnly):
		return caller, newProblem(http.StatusForbidden, "read-only", err.Error())
	case err != nil:
		return caller, newProblem(http.StatusForbidden, "forbidden", err.Error())
	}
	return caller, nil
}

// serve runs one route within the bounds of its class.
func (s *server) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var caller access.Caller
		if rt.needs > 0 {
			var err error
			if caller, err = s.admit(w, r, rt.needs); err != nil {
				asProblem(err).write(w)
				return
			}
		}
		c := rt.class(r)
		if !c.enter(r.Context()) {
			unavailable("busy", "too many requests of this kind at once: try again in a second", retryBusy, nil).write(w)
			return
		}
		defer c.leave()
		a, err := s.run(w, r.WithContext(access.With(traces.Received(r.Context(), r.Header), caller)), rt, c)
		if err != nil {
			s.fail(w, r, asProblem(err), caller)
			return
		}
		for name, value := range a.header {
			w.Header().Set(name, value)
		}
		if a.raw != nil {
			_, _ = w.Write(a.raw) // the client is gone
			return
		}
		writeJSON(w, "application/json", a.status, a.body)
	})
}

func (s *server) run(w http.ResponseWriter, r *http.Request, rt route, c *class) (answer, error) {
	var b body
	conn := http.NewResponseController(w)
	if len(rt.kinds) > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(c.read)) // a test's recorder has no connection
		var err error
		if b, err = readBody(w, r, c.body, rt.kinds...); err != nil {
			w.Header().Set("Connection", "close") // what is left of the body is not read
			return answer{}, err
		}
	}
	// A deadline that passes while a request is answered would cancel it.
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithTimeout(r.Context(), c.timeout)
	defer cancel()
	return rt.handle(ctx, r, b)
}

// fail answers an error, and logs what the operator can do something about.
func (s *server) fail(w http.ResponseWriter, r *http.Request, p *problem, caller access.Caller) {
	if p.cause != nil {
		s.cfg.Logger.ErrorContext(r.Context(), "api: request failed", "method", r.Method, "route", strings.TrimPrefix(r.Pattern, r.Method+" "),
			"by", caller.Name, "code", p.Code, "error", user.Scrub(p.cause.Error()))
	}
	p.write(w)
}

func callerName(ctx context.Context) string { return access.From(ctx).Name }

// accepted logs a change that was taken in.
func (s *server) accepted(ctx context.Context, job tasks.Job) {
	s.cfg.Logger.InfoContext(ctx, "api: job accepted", "by", callerName(ctx), "job_id", job.ID,
		"operation", string(job.Operation), "phone_number_id", job.PhoneNumberID, "users", job.Accepted, "repeated", job.Repeated)
}

// via says in the audit log where a change came from.
const via = "over the HTTP API"

// record writes a change into the audit log. Without it the change counts all the same.
func (s *server) record(ctx context.Context, e audit.Event) {
	e.By, e.Detail = callerName(ctx), via
	if err := audit.Record(ctx, s.cfg.Redis, e); err != nil {
		s.cfg.Logger.WarnContext(ctx, "api: a change could not be written into the audit log", "error", err)
	}
}

func (s *server) limits(ctx context.Context, r *http.Request, _ body) (answer, error) {
	var id string
	if err := query(r, map[string]*string{"phone_number_id": &id}); err != nil {
		return answer{}, err
	}
	if err := checkPhoneNumberID(id); err != nil {
		return answer{}, err
	}
	list, err := s.cfg.Limits(ctx, id)
	return answer{status: http.StatusOK, body: map[string]any{"limits": list}}, err
}

func (s *server) overview(ctx context.Context, r *http.Request, _ body) (answer, error) {
	if err := query(r, nil); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: s.cfg.Overview.Now(ctx)}, nil
}

func (s *server) description(context.Context, *http.Request, body) (answer, error) {
	return answer{header: map[string]string{"Content-Type": "application/json"}, raw: openAPI}, nil
}

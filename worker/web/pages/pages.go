// Package pages serves the pages for people: the overview at /, a phone number ID, a lookup of users, a job, the dead
// letters by code, and the actions on them, each with a dry run first. They show what package overview, the ledger and the
// dead-letter queue say, and change things by the functions that the HTTP API and the command line use.
//
// Numbers are masked. In full they are shown to a named token that asks for it, and each such view is an event in the audit
// log. No number stands in a path or a query. Nothing is fetched from elsewhere, no style or script stands in a page.
package pages

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/overview"
)

// Config holds what the pages are made from. Redis, Access and Overview are required.
type Config struct {
	Redis    redis.UniversalClient
	Access   *access.Control
	Overview *overview.Reader
	// PhoneNumberID is the one that forms propose; "" for none.
	PhoneNumberID string
	// Country is the one whose national numbers may be looked up; zero for none.
	Country user.Country
	// Jobs and Names bound what is kept of jobs and of users' names; the zero values are those of [tasks.ProducerConfig].
	Jobs  ledger.JobLimits
	Names ledger.NameLimits
	// Release lets the rate limit of a phone number ID be learnt again. Nil: the action is not offered.
	Release func(ctx context.Context, phoneNumberID string) error
	// State returns why this worker can't work, "" when it can, and what keeps it from some of its work.
	State func(ctx context.Context) (reason string, problems []string)
	// Metrics says that /metrics is served.
	Metrics bool
	// Logger may be nil for none.
	Logger *slog.Logger
}

// Paths are the patterns of the pages, for the mux that they are put into.
func Paths() []string {
	return []string{"/{$}", "/assets/", "/phone-numbers/{id}", "/numbers", "/jobs/{id}", "/dead-letters", "/actions/{action}"}
}

// timeout bounds what a page reads and an action does; it is below that of the server.
const timeout = 50 * time.Second

// policy is the Content-Security-Policy of all pages.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

//go:embed assets
var assets embed.FS

// pages answers the paths.
type pages struct {
	cfg     Config
	dead    *deadletter.Queue
	token   *formToken
	html    map[string]*template.Template // by name of the page
	actions map[string]action
}

// New returns the handler of all Paths. It reads nothing from Redis yet, and takes the caller from the request's context.
func New(cfg Config) (http.Handler, error) {
	if cfg.Redis == nil || cfg.Access == nil || cfg.Overview == nil {
		return nil, errors.New("pages: Config.Redis, Access and Overview are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.State == nil {
		cfg.State = func(context.Context) (string, []string) { return "", nil }
	}
	p := &pages{cfg: cfg, dead: deadletter.New(cfg.Redis), token: &formToken{rdb: cfg.Redis}, html: map[string]*template.Template{}}
	p.actions = p.allActions()
	layout, err := template.New("layout.html").Funcs(functions()).ParseFS(assets, "assets/layout.html", "assets/parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"overview", "phone", "numbers", "job", "dead", "action", "message"} {
		if p.html[name], err = template.Must(layout.Clone()).ParseFS(assets, "assets/"+name+".html"); err != nil {
			return nil, err
		}
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/style.css", http.StripPrefix("/assets/", http.FileServerFS(files)))
	mux.Handle("GET /assets/refresh.js", http.StripPrefix("/assets/", http.FileServerFS(files)))
	mux.HandleFunc("GET /{$}", p.page("overview", p.overview))
	mux.HandleFunc("GET /phone-numbers/{id}", p.page("phone", p.phone))
	mux.HandleFunc("GET /numbers", p.page("numbers", p.numbers))
	mux.HandleFunc("POST /numbers", p.page("numbers", p.numbers))
	mux.HandleFunc("GET /jobs/{id}", p.page("job", p.job))
	mux.HandleFunc("GET /dead-letters", p.page("dead", p.deadLetters))
	mux.HandleFunc("POST /dead-letters", p.page("dead", p.deadLetters))
	mux.HandleFunc("GET /actions/{action}", p.page("action", p.plan))
	mux.HandleFunc("POST /actions/{action}", p.page("action", p.do))
	return mux, nil
}

// view holds the values that every page is rendered from.
type view struct {
	Title    string
	Live     bool // refreshes itself
	Reason   string
	Problems []string
	Version  string
	Caller   access.Caller
	ReadOnly bool
	Metrics  bool
	Now      time.Time
	Body     any
}

// Can reports whether the caller may do what needs a scope: read, write or admin.
func (v view) Can(scope string) bool {
	return !v.ReadOnly && v.Caller.Scope >= map[string]access.Scope{"read": access.Read, "write": access.Write, "admin": access.Admin}[scope]
}

// Named reports whether the caller has a token of its own, and may so see numbers in full.
func (v view) Named() bool { return named(v.Caller) }

func named(c access.Caller) bool {
	return c.Scope >= access.Read && c.Name != "" && c.Name != access.TokenName && c.Name != access.LocalName
}

// problem is an answer in place of a page.
type problem struct {
	status     int
	text, next string
}

func (p *problem) Error() string { return p.text }

// page renders what a handler returns: a title and the body of its view.
func (p *pages) page(name string, handle func(ctx context.Context, r *http.Request, v *view) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		v := &view{Caller: access.From(ctx), Metrics: p.cfg.Metrics, Now: time.Now().UTC()}
		v.ReadOnly = errors.Is(p.cfg.Access.Allow(access.Caller{Scope: access.Admin}, access.Write), access.ErrReadOnly)
		html, status := p.html[name], http.StatusOK
		if err := p.handle(ctx, r, v, handle); err != nil {
			html, v.Live = p.html["message"], false
			shown, ok := errors.AsType[*problem](err)
			if !ok {
				p.cfg.Logger.WarnContext(ctx, "web: page failed", "page", name, "by", v.Caller.Name, "error", user.Scrub(err.Error()))
				shown = &problem{http.StatusServiceUnavailable, "This can't be shown or done now: " + user.Scrub(err.Error()), "Try again; `wablock doctor` checks Redis."}
			}
			status = shown.status
			v.Title, v.Body = "Not done", map[string]string{"Text": shown.text, "Next": shown.next}
		}
		var b bytes.Buffer
		if err := html.ExecuteTemplate(&b, "layout.html", v); err != nil {
			p.cfg.Logger.ErrorContext(ctx, "web: page can't be rendered", "page", name, "error", user.Scrub(err.Error()))
			http.Error(w, "the page can't be rendered: see the worker's log", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes()) // the client is gone
	}
}

// handle bounds the body of a form before the handler reads it.
func (p *pages) handle(ctx context.Context, r *http.Request, v *view, handle func(context.Context, *http.Request, *view) error) error {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return &problem{http.StatusBadRequest, "The form can't be read.", "Go back, and send it again."}
	}
	return handle(ctx, r, v)
}

const maxForm = 64 << 10

func (p *pages) overview(ctx context.Context, _ *http.Request, v *view) error {
	o := p.cfg.Overview.Now(ctx)
	v.Title, v.Live, v.Version, v.Now, v.Body = "Overview", true, o.Version, o.At, o
	v.Reason, v.Problems = p.cfg.State(ctx)
	if slices.ContainsFunc(o.Attention, func(n overview.Notice) bool { return n.Severity == overview.Stopped && n.Cause != overview.CauseRedis }) {
		v.Problems = nil // which the notices say, of all workers and with what to do
	}
	return nil
}

// phone shows one phone number ID, with the chart of its limiter.
func (p *pages) phone(ctx context.Context, r *http.Request, v *view) error {
	o := p.cfg.Overview.Now(ctx)
	for _, n := range o.PhoneNumbers {
		if n.ID != r.PathValue("id") {
			continue
		}
		var notices []overview.Notice
		for _, a := range o.Attention {
			if a.PhoneNumberID == n.ID || a.PhoneNumberID == "" {
				notices = append(notices, a)
			}
		}
		v.Title, v.Live, v.Now = "Phone number ID "+n.ID, true, o.At
		v.Body = struct {
			overview.PhoneNumber
			Attention []overview.Notice
			Release   bool
		}{n, notices, p.cfg.Release != nil}
		return nil
	}
	return &problem{http.StatusNotFound, "No such phone number ID is configured, or called by a worker.", "The overview has those that are known."}
}

// job shows one job.
func (p *pages) job(ctx context.Context, r *http.Request, v *view) error {
	producer, err := p.producer(r.FormValue("phone_number_id"))
	if err != nil {
		return err
	}
	if tasks.CheckJobID(r.PathValue("id")) != nil {
		return jobProblem(tasks.ErrJobNotFound)
	}
	j, err := producer.Job(ctx, r.PathValue("id"))
	if err != nil {
		return jobProblem(err)
	}
	j.Reason, j.Reference = user.Scrub(j.Reason), user.Scrub(j.Reference)
	v.Title, v.Live = "Job "+j.ID, !j.Done()
	b := struct {
		tasks.JobStatus
		Ended  int
		ByCode []overview.Code
	}{JobStatus: j, Ended: j.Accepted - j.Pending}
	for _, code := range slices.Sorted(maps.Keys(j.Codes)) {
		c := overview.CodeOf(code)
		c.Users = j.Codes[code]
		b.ByCode = append(b.ByCode, c)
	}
	v.Body = b
	return nil
}

// producer returns the producer of a phone number ID.
func (p *pages) producer(phoneNumberID string) (*tasks.Producer, error) {
	producer, err := p.anyProducer(phoneNumberID)
	if err != nil || phoneNumberID == "" {
		return nil, &problem{http.StatusBadRequest, "The phone number ID is missing, or is none.", "It is the 1 to 32 digits of the Graph ID, not the number itself."}
	}
	return producer, nil
}

// anyProducer is producer, "" for jobs that each name their phone number ID.
func (p *pages) anyProducer(phoneNumberID string) (*tasks.Producer, error) {
	return tasks.NewProducer(p.cfg.Redis, tasks.ProducerConfig{
		PhoneNumberID: phoneNumberID, Jobs: p.cfg.Jobs, Names: p.cfg.Names, Logger: p.cfg.Logger, Via: via,
	})
}

// via says in the audit log where a change came from.
const via = "on the web page"

// record writes what was done or shown into the audit log. Without it, it counts all the same.
func (p *pages) record(ctx context.Context, e audit.Event) {
	e.By = access.From(ctx).Name
	if e.Detail == "" {
		e.Detail = via
	}
	p.cfg.Logger.InfoContext(ctx, "web: done on a page", "by", e.By, "action", string(e.Action), "phone_number_id", e.PhoneNumberID, "users", e.Users)
	if e.Action == audit.Cancel || e.Action == audit.Undo {
		return // the producer has recorded it
	}
	if err := audit.Record(ctx, p.cfg.Redis, e); err != nil {
		p.cfg.Logger.WarnContext(ctx, "web: a change could not be written into the audit log", "error", err)
	}
}

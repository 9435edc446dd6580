package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/overview"
	"github.com/wablock/wablock/worker/web/pages"
	"github.com/wablock/wablock/worker/web/webhook"
)

// maxInFlight bounds the requests that are served at once, health aside: people and scrapers are
// few, and each request may cost Redis a script.
const maxInFlight = 32

// Config holds what the pages are made from.
type Config struct {
	// Redis is shared with the worker, and never closed here. Required.
	Redis redis.UniversalClient
	// Access lets requests in to everything but health and readiness. Nil: no token is asked for,
	// and only requests to a loopback host are answered.
	Access *access.Control
	// API answers everything under /v1/, and admits callers by itself. Nil: there is none.
	API http.Handler
	// Webhooks answers Meta's webhooks, under [webhook.Path], and verifies them by itself. Nil: there is none.
	Webhooks http.Handler
	// Gatherer has the metrics of /metrics. Nil: /metrics answers 404.
	Gatherer prometheus.Gatherer
	// Ready returns why the worker can't work, nil when it can. It is called at most once a second,
	// with a timeout of three seconds. Nil: Redis is pinged.
	Ready func(ctx context.Context) error
	// Problems returns what keeps the worker from some of its work while it is ready; it may be nil.
	// It is called after Ready.
	Problems func() []string
	// Overview reads how the system stands. Nil: one that knows of no configuration.
	Overview *overview.Reader
	// PhoneNumberID is the one that forms propose; "" for none.
	PhoneNumberID string
	// Country is the one whose national numbers may be looked up; zero for none.
	Country user.Country
	// Jobs and Names bound what is kept of jobs and of users' names; the zero values are those of [tasks.ProducerConfig].
	Jobs  ledger.JobLimits
	Names ledger.NameLimits
	// Release lets the rate limit of a phone number ID be learnt again. Nil: no page offers it.
	Release func(ctx context.Context, phoneNumberID string) error
	// Version is shown on the first page, where Overview is nil; it may be empty.
	Version string
	// Logger may be nil for none.
	Logger *slog.Logger
}

// New returns the handler of the whole address. It reads nothing from Redis yet.
func New(cfg Config) (http.Handler, error) {
	if cfg.Redis == nil {
		return nil, errors.New("web: Config.Redis is required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Ready == nil {
		cfg.Ready = func(ctx context.Context) error { return cfg.Redis.Ping(ctx).Err() }
	}
	if cfg.Problems == nil {
		cfg.Problems = func() []string { return nil }
	}
	if cfg.Access == nil {
		cfg.Access = new(access.Control)
	}
	ready := &readiness{check: cfg.Ready, list: cfg.Problems}
	mon, err := newMonitor(cfg.Redis, cfg.Access, cfg.Logger)
	if err != nil {
		return nil, err
	}

	if cfg.Overview == nil {
		cfg.Overview = overview.NewReader(overview.Config{Redis: cfg.Redis, Version: cfg.Version})
	}
	people, err := pages.New(pages.Config{
		Redis: cfg.Redis, Access: cfg.Access, Overview: cfg.Overview, PhoneNumberID: cfg.PhoneNumberID, Country: cfg.Country,
		Jobs: cfg.Jobs, Names: cfg.Names, Release: cfg.Release, Metrics: cfg.Gatherer != nil, Logger: cfg.Logger,
		State: func(ctx context.Context) (string, []string) {
			state := ready.now(ctx)
			return state.Reason, state.Problems
		},
	})
	if err != nil {
		return nil, err
	}

	closed := http.NewServeMux()
	for _, path := range pages.Paths() {
		closed.Handle(path, people)
	}
	if cfg.Gatherer != nil {
		closed.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
			ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
			ErrorHandling:     promhttp.ContinueOnError,
			Timeout:           metricsTimeout,
			EnableOpenMetrics: true, // exemplars are in no other text format
		}))
	}
	closed.Handle("GET "+monitorRoot, http.RedirectHandler(monitorRoot+"/", http.StatusMovedPermanently))
	closed.Handle(monitorRoot+"/", mon)

	open := http.NewServeMux()
	open.HandleFunc("GET /healthz", alive)
	open.Handle("GET /readyz", ready)
	if cfg.API != nil {
		open.Handle("/v1/", cfg.API)
	}
	if cfg.Webhooks != nil {
		open.Handle(webhook.Path, cfg.Webhooks)
	}
	open.Handle("/", guard(closed, cfg.Access))
	return securityHeaders(open), nil
}

// guard admits authorized requests from wablock's own pages. The cheapest refusal comes first.
func guard(next http.Handler, control *access.Control) http.Handler {
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "this request came from another site; changes are made from wablock's own pages")
	}))
	return admit(inFlightLimit(csrf.Handler(next), maxInFlight), control)
}

package app

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/web"
	"github.com/wablock/wablock/worker/web/access"
	"github.com/wablock/wablock/worker/web/api"
	"github.com/wablock/wablock/worker/web/overview"
	"github.com/wablock/wablock/worker/web/webhook"
)

// ConfigError reports a setting that can't be used.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }

func (e *ConfigError) Unwrap() error { return e.Err }

// App is a worker that has read everything it needs but Redis.
type App struct {
	cfg     *config.Config
	numbers *numbers
	access  *access.Control // of the HTTP address
	webhook *webhook.Config // nil: turned off
	log     *slog.Logger

	// Version is shown on pages and in metrics.
	Version string
	// AnyGraphHost lets the worker run beside others that call another Graph host.
	AnyGraphHost bool
	// Tune, if not nil, has the last word on the worker's configuration.
	Tune func(*worker.Config, *metrics.Metrics)
}

// New reads tokens and secrets, and checks everything that needs no network.
func New(cfg *config.Config, log *slog.Logger) (*App, error) {
	n, err := newNumbers(cfg, log)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, numbers: n, log: log}
	if cfg.HTTPAddr == "" {
		return a, nil
	}
	if a.access, err = OpenAccess(cfg, log); err != nil {
		return nil, err
	}
	if a.webhook, err = webhookConfig(cfg, log); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenAccess reads the tokens of the HTTP address. Its error is a [*ConfigError].
func OpenAccess(cfg *config.Config, log *slog.Logger) (*access.Control, error) {
	token, err := cfg.HTTPTokenValue()
	if err != nil {
		return nil, &ConfigError{err}
	}
	control, err := access.Open(access.Config{
		Token: token, File: cfg.HTTPTokensFile, ReadOnly: cfg.HTTPReadOnly, Shortest: cfg.ShortestHTTPToken(), Logger: log,
	})
	if err != nil {
		return nil, &ConfigError{err}
	}
	return control, nil
}

// Service is a worker with its schedules and its HTTP address.
type Service struct {
	worker    *worker.Worker
	schedules *reconcile.Scheduler
	server    *web.Server // nil when the address is turned off
	figures   *figures.Recorder
	member    *fleet.Member
}

// Service wires the worker on rdb, which stays the caller's to close, and binds its address. A
// worker that would call another Graph host than those that run on this Redis is a [*ConfigError].
func (a *App) Service(ctx context.Context, rdb redis.UniversalClient) (*Service, error) {
	m := metrics.New(a.Version, slices.Collect(maps.Keys(a.numbers.byID))...)
	if err := m.WatchQueues(rdb); err != nil {
		return nil, err
	}
	configured := slices.Sorted(maps.Keys(a.numbers.byID))
	if err := m.WatchPauses(rdb, configured); err != nil {
		return nil, err
	}
	wc := worker.Config{
		Redis: rdb, Resolve: a.numbers.resolve, Configured: configured, Limiter: NewLimiter(a.cfg, rdb),
		MaxAttempts: a.cfg.MaxAttempts, RequestTimeout: a.cfg.RequestTimeout, ShutdownTimeout: a.cfg.ShutdownTimeout,
		ParkClosedWindows: a.cfg.ParkClosedWindows, Concurrency: a.cfg.Concurrency, Jobs: JobLimits(a.cfg), Names: NameLimits(a.cfg), Logger: a.log, Metrics: m,
	}
	a.protectOwn(ctx, rdb)
	runner, err := reconcile.New(reconcile.Config{Redis: rdb, Limiter: wc.Limiter, Jobs: wc.Jobs, Names: wc.Names, Logger: a.log})
	if err != nil {
		return nil, err
	}
	s := &Service{figures: figures.NewRecorder(rdb)}
	if s.schedules, err = reconcile.NewScheduler(runner, m, a.numbers.schedules); err != nil {
		return nil, err
	}
	wc.Slots = s.schedules
	if a.Tune != nil {
		a.Tune(&wc, m)
	}
	s.member = newMember(a.cfg, a.Version, rdb, a.log)
	if err := enter(ctx, s.member, a.AnyGraphHost, a.log); err != nil {
		return nil, err
	}
	wc.Metrics = stateNotice{figured{wc.Metrics, s.figures}, s.member}
	if s.worker, err = worker.New(wc); err != nil {
		return nil, err
	}
	s.member.Show(s.worker.Lanes)
	if a.cfg.HTTPAddr == "" {
		return s, nil
	}
	reader := NewOverview(a.cfg, rdb, a.Version)
	if err := m.WatchOverview(reader.Now); err != nil {
		return nil, err
	}
	calls, err := a.api(rdb, reader)
	if err != nil {
		return nil, err
	}
	hooks, err := newWebhooks(a.webhook, a.cfg, rdb, m, a.log)
	if err != nil {
		return nil, err
	}
	pages, err := web.New(web.Config{
		Redis: rdb, Access: a.access, API: calls, Webhooks: hooks, Gatherer: m.Registry(), Ready: s.worker.Ready, Problems: func() []string { return append(s.worker.Problems(), pauses(rdb, configured)...) }, Overview: reader, PhoneNumberID: a.proposed(), Country: a.cfg.DefaultCountry, Jobs: JobLimits(a.cfg), Names: NameLimits(a.cfg), Logger: a.log,
		Release: func(ctx context.Context, id string) error {
			_, err := NewLimiter(a.cfg, rdb).Release(ctx, id)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	if s.server, err = web.Listen(a.cfg.HTTPAddr, pages, a.log); err != nil {
		return nil, err
	}
	a.log.Info("http: listening", "addr", s.server.Addr().String())
	return s, nil
}

// api returns the HTTP API of the worker.
func (a *App) api(rdb redis.UniversalClient, reader *overview.Reader) (http.Handler, error) {
	c := api.Config{
		Redis: rdb, Access: a.access, PhoneNumberID: a.proposed(), PhoneNumberIDs: slices.Sorted(maps.Keys(a.numbers.byID)), Country: a.cfg.DefaultCountry, Jobs: JobLimits(a.cfg), Names: NameLimits(a.cfg), Overview: reader, Logger: a.log,
		Limits: func(ctx context.Context, id string) (any, error) { return Limits(ctx, a.cfg, rdb, id) },
	}
	return api.New(c)
}

// proposed returns the phone number ID of requests that name none, "" when they have to.
func (a *App) proposed() string {
	n, err := a.cfg.Selected()
	if err != nil {
		return ""
	}
	return n.ID
}

// protectOwn puts the business numbers of the configuration on the list of users who are never blocked. Without
// it the worker works on.
func (a *App) protectOwn(ctx context.Context, rdb redis.UniversalClient) {
	var own []user.ID
	for _, n := range a.cfg.PhoneNumbers {
		if !n.Display.IsZero() {
			own = append(own, n.Display)
		}
	}
	if len(own) == 0 {
		return
	}
	if err := protect.Add(ctx, rdb, "", own, "a business number of the worker's configuration", "worker"); err != nil {
		a.log.Warn("workers: the business numbers could not be protected", "error", err.Error())
	}
}

// pauses describes the pauses of configured phone number IDs, and of all.
func pauses(rdb redis.UniversalClient, configured []string) (texts []string) {
	ctx, cancel := context.WithTimeout(context.Background(), pausesTimeout)
	defer cancel()
	all, err := pause.Of(ctx, rdb, configured...)
	if err != nil {
		return nil // readiness itself tells that Redis does not answer
	}
	for _, p := range all[:min(len(all), maxPauses)] {
		text := p.String()
		if p.PhoneNumberID != "" {
			text = "phone number ID " + p.PhoneNumberID + ": " + text
		}
		texts = append(texts, text)
	}
	return texts
}

const (
	pausesTimeout = time.Second
	maxPauses     = 20 // that readiness names
)

// Addr returns the HTTP address, nil when it is turned off.
func (s *Service) Addr() net.Addr {
	if s.server == nil {
		return nil
	}
	return s.server.Addr()
}

// Run works until ctx ends, and returns when everything has stopped. The pages stay up until
// the worker has handed back its tasks.
func (s *Service) Run(ctx context.Context) error {
	pages, stopPages := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPages()
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	var g errgroup.Group
	if s.server != nil {
		g.Go(func() error {
			defer fail() // a worker without its pages can't be watched: it is better started anew
			return s.server.Run(pages)
		})
	}
	g.Go(func() error {
		defer stopPages()
		return s.worker.Run(ctx)
	})
	g.Go(func() error { return s.schedules.Run(ctx) })
	g.Go(func() error { return s.figures.Run(pages) })
	g.Go(func() error { return s.member.Run(pages) })
	return g.Wait()
}

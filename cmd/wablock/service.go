package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/web"
)

// service is a worker and its HTTP address, wired from the configuration: all of the command
// worker, and the main part of dev.
type service struct {
	worker    *worker.Worker
	schedules *reconcile.Scheduler
	server    *web.Server // nil when the address is turned off
	log       *slog.Logger
}

// newService wires a worker. tune, if not nil, has the last word on its configuration.
func newService(cfg *config.Config, n *numbers, rdb redis.UniversalClient, log *slog.Logger, tune func(*worker.Config, *metrics.Metrics)) (*service, error) {
	m := metrics.New(buildInfo().Version, slices.Collect(maps.Keys(n.byID))...)
	if err := m.WatchQueues(rdb); err != nil {
		return nil, err
	}
	wc := worker.Config{
		Redis: rdb, Resolve: n.resolve, Limiter: newLimiter(cfg, rdb),
		MaxAttempts: cfg.MaxAttempts, RequestTimeout: cfg.RequestTimeout, ShutdownTimeout: cfg.ShutdownTimeout,
		Concurrency: cfg.Concurrency, Logger: log, Metrics: m,
	}
	schedules, err := newSchedules(cfg, n, reconcile.Config{Redis: rdb, Limiter: wc.Limiter, Logger: log, Metrics: m})
	if err != nil {
		return nil, err
	}
	wc.Slots = schedules
	if tune != nil {
		tune(&wc, m)
	}
	w, err := worker.New(wc)
	if err != nil {
		return nil, err
	}
	s := &service{worker: w, schedules: schedules, log: log}
	if cfg.HTTPAddr == "" {
		return s, nil
	}
	token, err := cfg.HTTPTokenValue()
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	pages, err := web.New(web.Config{
		Redis: rdb, Token: token, Gatherer: m.Registry(), Ready: w.Ready, Version: buildInfo().Version, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if s.server, err = web.Listen(cfg.HTTPAddr, pages, log); err != nil {
		return nil, err
	}
	log.Info("http: listening", "addr", s.server.Addr().String())
	return s, nil
}

// run works until ctx ends, and returns when everything has stopped. The pages stay up until
// the worker has handed back its tasks.
func (s *service) run(ctx context.Context) error {
	pages, stopPages := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPages()
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	var g errgroup.Group
	if s.server != nil {
		g.Go(func() error {
			defer fail() // without its pages a worker is blind: better to be started anew
			return s.server.Run(pages)
		})
	}
	g.Go(func() error {
		defer stopPages()
		return s.worker.Run(ctx)
	})
	g.Go(func() error { return s.schedules.Run(ctx) })
	return g.Wait()
}

// numbers says how each phone number ID is served.
type numbers struct {
	byID map[string]worker.PhoneNumber
	// others is for phone number IDs that are not configured, where there is a token for all.
	others *worker.PhoneNumber
}

func newNumbers(cfg *config.Config, log *slog.Logger) (*numbers, error) {
	tokens, err := cfg.Tokens()
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	clients := clients{cfg: cfg, log: log, byToken: map[*secret.Source]*client.Client{}}
	if clients.appSecret, err = cfg.AppSecretSource(); err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	n := &numbers{byID: map[string]worker.PhoneNumber{}}
	for _, p := range cfg.PhoneNumbers {
		c, err := clients.of(tokens[p.ID])
		if err != nil {
			return nil, err
		}
		n.byID[p.ID] = worker.PhoneNumber{ID: p.ID, API: c, Token: tokens[p.ID], Account: accountOf(p.Token), Listed: true}
	}
	if cfg.AccessToken.IsZero() {
		if len(n.byID) == 0 {
			return nil, usagef("there is no access token: set WABLOCK_ACCESS_TOKEN or WABLOCK_ACCESS_TOKEN_FILE, or list phone_numbers with their tokens in the --config file")
		}
		return n, nil
	}
	source, err := cfg.AccessToken.Source()
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	c, err := clients.of(source)
	if err != nil {
		return nil, err
	}
	n.others = &worker.PhoneNumber{API: c, Token: source, Account: accountOf(cfg.AccessToken)}
	return n, nil
}

func (n *numbers) resolve(id string) (worker.PhoneNumber, bool) {
	if p, ok := n.byID[id]; ok {
		return p, true
	}
	if n.others == nil {
		return worker.PhoneNumber{}, false
	}
	p := *n.others
	p.ID = id
	return p, true
}

// newLimiter is the rate limit that all workers share, with the ceilings configured.
func newLimiter(cfg *config.Config, rdb redis.UniversalClient) *redislimit.Limiter {
	byID := map[string]ratelimit.Settings{}
	for _, p := range cfg.PhoneNumbers {
		byID[p.ID] = ratelimit.Settings{Rate: p.Rate, Burst: p.Burst, MaxUsers: p.MaxUsersPerCall}
	}
	others := ratelimit.Settings{Rate: cfg.Rate, Burst: cfg.Burst, MaxUsers: cfg.MaxUsersPerCall}
	return redislimit.New(rdb, func(id string) ratelimit.Settings {
		if s, ok := byID[id]; ok {
			return s
		}
		return others
	})
}

// clients makes one API client a token; all share the connections.
type clients struct {
	cfg       *config.Config
	log       *slog.Logger
	appSecret *secret.Source
	byToken   map[*secret.Source]*client.Client
}

func (c *clients) of(token *secret.Source) (*client.Client, error) {
	if made, ok := c.byToken[token]; ok {
		return made, nil
	}
	opts := []client.Option{client.WithLogger(c.log), client.WithTimeout(c.cfg.RequestTimeout)}
	if c.appSecret != nil {
		opts = append(opts, client.WithAppSecret(c.appSecret))
	}
	made, err := client.New(c.cfg.GraphURL, c.cfg.GraphVersion, token, opts...)
	if err != nil {
		return nil, fmt.Errorf("API client: %w", err)
	}
	c.byToken[token] = made
	return made, nil
}

// accountOf names the account whose limits phone numbers share: those that use one token, by
// where it comes from, so that it keeps its name when the token is rotated.
func accountOf(c config.Credential) string {
	sum := sha256.Sum256([]byte(c.Name()))
	return hex.EncodeToString(sum[:8])
}

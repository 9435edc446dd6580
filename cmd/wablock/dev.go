package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
)

// What dev's worker does otherwise than a real one, so that a first look takes seconds.
const (
	devPhoneNumberID = "106540352242922"
	devToken         = "dev-token"
	devUsersPerCall  = 100
	devAttempts      = 5
	devRetryDelay    = 200 * time.Millisecond
	devPoll          = 200 * time.Millisecond
	devAnyAddr       = "127.0.0.1:0"
)

func (a *app) devCommand() *cobra.Command {
	var once bool
	var file string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try everything in one process: Redis, a simulated API, a worker and the web UI",
		Long: `Runs the main job with nothing else installed: an embedded Redis, a simulated Block Users
API with a hidden rate limit, a worker and the web UI, all on loopback in this one process.
It blocks a built-in sample, some numbers of which must fail, each in another way, prints
a summary and stays up until Ctrl-C. Nothing in it outlives the process.`,
		Example: "  wablock dev --once\n  wablock dev --file numbers.csv",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.dev(cmd, once, file)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "exit when the sample is drained: 0 if every number ended as it must, else 1")
	cmd.Flags().StringVarP(&file, "file", "f", "", "`file` of numbers to block in place of the sample; - is standard input")
	settingFlags(cmd.Flags(), true)
	return cmd
}

func (a *app) dev(cmd *cobra.Command, once bool, file string) error {
	cfg, err := a.config(cmd)
	if err != nil {
		return err
	}
	s := builtIn()
	if file != "" {
		if s, err = a.ownSample(file); err != nil {
			return err
		}
	}
	d, err := a.startDev(cmd, cfg, s)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer stop()
		return d.run(ctx)
	})
	a.banner(d)
	err = a.drainSample(ctx, d, s)
	if err != nil && cmd.Context().Err() != nil {
		err = interruptedf("interrupted; nothing of it remains")
	}
	if !once && ctx.Err() == nil {
		err = a.said(err)
		a.say("still up: look at the pages, or enqueue from another shell; Ctrl-C ends it")
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, g.Wait())
}

// said tells people of an error now rather than in the end, and returns its exit code alone.
func (a *app) said(err error) error {
	if err == nil {
		return nil
	}
	report(a.err, err)
	return &exitError{code: exitCode(context.Background(), err, true)}
}

// dev is everything that runs in the process.
type dev struct {
	redis   *miniredis.Miniredis
	rdb     redis.UniversalClient
	api     net.Listener
	sim     *simulator.Simulator
	service *service
	tally   *tally
	log     *slog.Logger
}

// startDev puts the parts together. The environment's Redis, API and token are left alone: a
// try-out must not touch real ones.
func (a *app) startDev(cmd *cobra.Command, cfg *config.Config, s sample) (*dev, error) {
	d := &dev{redis: miniredis.NewMiniRedis(), log: a.devLogger(cmd, cfg)}
	if err := d.redis.Start(); err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	var err error
	if d.sim, err = simulator.New(simulator.Config{Scenario: devScenario(s), Logger: d.log}); err != nil {
		return nil, err
	}
	if d.api, err = new(net.ListenConfig).Listen(cmd.Context(), "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("simulated API: %w", err)
	}
	own, err := a.devConfig(cmd, cfg, d)
	if err != nil {
		return nil, err
	}
	d.rdb = own.Redis.Client()
	n, err := newNumbers(own, d.log)
	if err != nil {
		return nil, err
	}
	start := func() (*service, error) {
		return newService(own, n, d.rdb, d.log, func(w *worker.Config, m *metrics.Metrics) {
			d.tally = &tally{Metrics: m}
			w.Metrics = d.tally
			w.RetryDelay, w.Poll = devRetryDelay, devPoll
		})
	}
	d.service, err = start()
	if errors.Is(err, syscall.EADDRINUSE) && own.HTTPAddr == cfg.HTTPAddr && !a.chosen(cmd, "WABLOCK_HTTP_ADDR", "http-addr") {
		own.HTTPAddr = devAnyAddr // another program, such as a second dev, listens there
		d.service, err = start()
	}
	return d, err
}

// devConfig is the configuration of a worker on d's parts. What the user set of a worker's
// tuning stays.
func (a *app) devConfig(cmd *cobra.Command, cfg *config.Config, d *dev) (*config.Config, error) {
	given := settingsGiven(cmd.Flags())
	for _, s := range config.Settings() {
		if v, ok := a.lookupEnv(s.Variable); ok && s.Worker && !s.Secret && given[s.Flag] == "" && s.Flag != "" {
			given[s.Flag] = v
		}
	}
	for flag, value := range map[string]string{
		"max-users-per-call": fmt.Sprint(devUsersPerCall),
		"max-attempts":       fmt.Sprint(devAttempts),
		"http-addr":          cfg.HTTPAddr,
	} {
		if given[flag] == "" {
			given[flag] = value
		}
	}
	given["redis-url"] = "redis://" + d.redis.Addr() + "/0"
	given["graph-url"] = "http://" + d.api.Addr().String()
	given["phone-number-id"] = devPhoneNumberID
	env := func(name string) (string, bool) {
		if name == "WABLOCK_ACCESS_TOKEN" {
			return devToken, true
		}
		if strings.HasPrefix(name, "WABLOCK_HTTP_TOKEN") {
			return a.lookupEnv(name)
		}
		return "", false
	}
	return config.Load(config.Input{Flags: given, LookupEnv: env})
}

// chosen reports whether the user has set a setting, by flag or environment.
func (a *app) chosen(cmd *cobra.Command, variable, flag string) bool {
	_, inEnv := a.lookupEnv(variable)
	return inEnv || cmd.Flags().Changed(flag)
}

// devLogger is quiet unless a level was asked for: the progress and the pages tell more.
func (a *app) devLogger(cmd *cobra.Command, cfg *config.Config) *slog.Logger {
	if a.chosen(cmd, "WABLOCK_LOG_LEVEL", "log-level") {
		return a.logger(cfg)
	}
	return slog.New(slog.DiscardHandler)
}

// run keeps everything up until ctx ends.
func (d *dev) run(ctx context.Context) error {
	defer d.redis.Close()
	defer func() { _ = d.rdb.Close() }()
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return serve(parts, d.api, d.sim, d.log) })
	g.Go(func() error { d.age(parts); return nil })
	err := d.service.run(ctx)
	stop()
	return errors.Join(err, g.Wait())
}

// age lets miniredis's keys expire: its clock stands still unless it is moved.
func (d *dev) age(ctx context.Context) {
	const step = 100 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.redis.FastForward(step)
		}
	}
}

// devScenario is an API that shows what wablock is for: it hides its limit, and is sometimes
// out of order. What it cuts are calls that carry ordinary users: for a number that must die
// with a code, a last attempt that was cut would be an end without one.
func devScenario(s sample) simulator.Scenario {
	return simulator.Scenario{
		Latency: simulator.Latency{Base: simulator.Duration(60 * time.Millisecond), Jitter: simulator.Duration(60 * time.Millisecond)},
		Limits:  []simulator.Limit{{Rate: 8, Burst: 4}},
		Faults:  []simulator.Fault{{Name: "cut after applying", Effect: simulator.EffectReset, Applied: true, Skip: 5, Every: 9, Users: s.ordinary()}},
		Journal: simulator.JournalLimits{Calls: 1000, Users: 100_000},
	}
}

// drainSample enqueues the sample step by step, shows how it goes, and checks each end.
func (a *app) drainSample(ctx context.Context, d *dev, s sample) error {
	p, err := tasks.NewProducer(d.rdb, tasks.ProducerConfig{PhoneNumberID: devPhoneNumberID})
	if err != nil {
		return err
	}
	started := time.Now()
	var jobs []tasks.Job
	for _, step := range s.steps {
		a.say("%s: %s", step.what, count(len(step.users), "number"))
		job, err := p.Enqueue(ctx, tasks.Request{Operation: step.op, Users: step.users})
		if err != nil {
			return err
		}
		if _, err := a.wait(ctx, p, job); err != nil {
			return err
		}
		jobs = append(jobs, job)
	}
	r, err := d.check(ctx, s)
	if err != nil {
		return err
	}
	r.Took = time.Since(started).Round(time.Millisecond).String()
	r.Calls, r.RateLimitHits = d.tally.calls.Load(), d.tally.limitHits.Load()
	return a.summarise(r, s, jobs)
}

// check holds each number's end against the one that it must have.
func (d *dev) check(ctx context.Context, s sample) (devSummary, error) {
	r := devSummary{DeadLettered: map[string]int{}}
	want := s.fates()
	users := make([]user.ID, 0, len(want))
	for u := range want {
		users = append(users, u)
	}
	l := ledger.New(d.rdb, devPhoneNumberID)
	for from := 0; from < len(users); from += ledger.MaxBatch {
		entries, err := l.Entries(ctx, users[from:min(from+ledger.MaxBatch, len(users))])
		if err != nil {
			return r, err
		}
		for _, e := range entries {
			r.count(e, want[e.User])
		}
	}
	return r, nil
}

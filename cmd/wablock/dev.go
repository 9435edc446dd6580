package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/metrics"
)

// What dev's worker does otherwise than a real one, so that a first look takes seconds.
const (
	devPhoneNumberID = "106540352242922"
	devToken         = "dev-token"
	devAttempts      = 5
	devRetryDelay    = 200 * time.Millisecond
	devPoll          = 200 * time.Millisecond
	devAnyAddr       = "127.0.0.1:0"
)

// dev is the command `dev`, and everything that runs in its process.
type dev struct {
	*cli
	numberFlags
	once bool

	redis   *miniredis.Miniredis
	rdb     redis.UniversalClient
	api     net.Listener
	sim     *simulator.Simulator
	service *app.Service
	tally   *tally
	log     *slog.Logger
}

func devCommand(parent *cli) *cobra.Command {
	d := &dev{cli: parent}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try everything in one process: Redis, a simulated API, a worker and the web UI",
		Long: `Runs the main job with nothing else installed: an embedded Redis, a simulated Block Users
API with a hidden rate limit, a worker and the web UI, all on loopback in this one process.
It blocks a built-in sample, some numbers of which must fail, each in another way, prints
a summary and stays up until Ctrl-C. Nothing in it outlives the process.`,
		Example: "  wablock dev --once\n  wablock dev --file numbers.csv",
		Args:    noArgs,
		RunE:    d.run,
	}
	cmd.Flags().BoolVar(&d.once, "once", false, "exit when the sample is drained: 0 if every number ended as it must, else 1")
	d.add(cmd.Flags(), "`file` of numbers to block in place of the sample; - is standard input")
	settingFlags(cmd.Flags(), true)
	return cmd
}

func (d *dev) run(cmd *cobra.Command, _ []string) error {
	cfg, err := d.config(cmd)
	if err != nil {
		return err
	}
	s := builtIn()
	if d.file != "" {
		if s, err = ownSample(cmd.Context(), d.cli, d.numberFlags, cfg.DefaultCountry); err != nil {
			return err
		}
	}
	if err := d.start(cmd, cfg, s); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer stop()
		return d.keepUp(ctx)
	})
	d.banner()
	err = d.drain(ctx, s)
	if err != nil && cmd.Context().Err() != nil {
		err = interruptedf("interrupted; nothing of it remains")
	}
	if !d.once && ctx.Err() == nil {
		err = d.said(err)
		d.say("still up: look at the pages, or enqueue from another shell; Ctrl-C ends it")
		<-ctx.Done()
	}
	stop()
	return errors.Join(err, g.Wait())
}

// said prints an error now rather than in the end, and returns its exit code alone.
func (d *dev) said(err error) error {
	if err == nil {
		return nil
	}
	report(d.err, err)
	return &exitError{code: exitCode(context.Background(), err, true)}
}

// start puts the parts together. The environment's Redis, API and token are left alone: a
// try-out must not touch real ones.
func (d *dev) start(cmd *cobra.Command, cfg *config.Config, s sample) error {
	d.redis, d.log = miniredis.NewMiniRedis(), d.logger(cmd, cfg)
	if err := d.redis.Start(); err != nil {
		return fmt.Errorf("embedded Redis: %w", err)
	}
	var err error
	if d.sim, err = simulator.New(simulator.Config{Scenario: devScenario(s), Logger: d.log}); err != nil {
		return err
	}
	if d.api, err = new(net.ListenConfig).Listen(cmd.Context(), "tcp", devAnyAddr); err != nil {
		return fmt.Errorf("simulated API: %w", err)
	}
	own, err := d.ownConfig(cmd, cfg)
	if err != nil {
		return err
	}
	d.rdb = own.Redis.Client()
	a, err := app.New(own, d.log)
	if err != nil {
		return err
	}
	a.Version = buildInfo().Version
	a.Tune = func(w *worker.Config, m *metrics.Metrics) {
		d.tally = &tally{Metrics: m}
		w.Metrics = d.tally
		w.RetryDelay, w.Poll = devRetryDelay, devPoll
	}
	d.service, err = a.Service(cmd.Context(), d.rdb)
	if errors.Is(err, syscall.EADDRINUSE) && own.HTTPAddr == cfg.HTTPAddr && !d.chosen(cmd, "WABLOCK_HTTP_ADDR", "http-addr") {
		own.HTTPAddr = devAnyAddr // another program, such as a second dev, listens there
		d.service, err = a.Service(cmd.Context(), d.rdb)
	}
	return err
}

// ownConfig returns the configuration of a worker on d's parts. What the user set of a worker's
// tuning stays.
func (d *dev) ownConfig(cmd *cobra.Command, cfg *config.Config) (*config.Config, error) {
	given := settingsGiven(cmd.Flags())
	for _, s := range config.Settings() {
		if v, ok := d.env[s.Variable]; ok && (v != "" || s.Flag == httpAddrFlag) && s.Worker && !s.Secret && given[s.Flag] == "" && s.Flag != "" {
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
			return d.lookup(name)
		}
		return "", false
	}
	return config.Load(config.Input{Flags: given, LookupEnv: env})
}

// chosen reports whether the user has set a setting, by flag or environment.
func (d *dev) chosen(cmd *cobra.Command, variable, flag string) bool {
	_, inEnv := d.env[variable]
	return inEnv || cmd.Flags().Changed(flag)
}

// logger returns one that is quiet unless a level was asked for: the progress and the pages tell more.
func (d *dev) logger(cmd *cobra.Command, cfg *config.Config) *slog.Logger {
	if d.chosen(cmd, "WABLOCK_LOG_LEVEL", "log-level") {
		return logger(d.cli, cfg, d.err)
	}
	return slog.New(slog.DiscardHandler)
}

// keepUp runs the parts until ctx ends.
func (d *dev) keepUp(ctx context.Context) error {
	defer d.redis.Close()
	defer func() { _ = d.rdb.Close() }()
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	var g errgroup.Group
	g.Go(func() error { return serve(parts, d.api, d.sim, d.log) })
	g.Go(func() error { d.age(parts); return nil })
	err := d.service.Run(ctx)
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

// drain enqueues the sample step by step, shows how it goes, and checks each end.
func (d *dev) drain(ctx context.Context, s sample) error {
	p, err := tasks.NewProducer(d.rdb, tasks.ProducerConfig{PhoneNumberID: devPhoneNumberID})
	if err != nil {
		return err
	}
	w := &waiter{cli: d.cli, rdb: d.rdb, producer: p}
	started := time.Now()
	var jobs []tasks.Job
	for _, step := range s.steps {
		d.say("%s: %s", step.what, amounts.Count(len(step.users), "number"))
		job, err := p.Enqueue(ctx, tasks.Request{Operation: step.op, Users: step.users})
		if err != nil {
			return err
		}
		if _, err := w.until(ctx, job); err != nil {
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
	return d.summarise(r, s, jobs)
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

// banner prints what runs where, and how to use it from another shell.
func (d *dev) banner() {
	title := "wablock dev"
	if d.onTerminal() {
		title = text.Bold.Sprint(title)
	}
	redisURL := "redis://" + d.redis.Addr() + "/0"
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	line("  %s  everything in one process, on loopback", title)
	line("  Nothing here outlives the process, and nothing real is touched.")
	line("")
	if addr := d.service.Addr(); addr != nil {
		pages := "http://" + addr.String()
		line("  overview        %s/", pages)
		line("  web UI          %s/monitor/", pages)
		line("  metrics         %s/metrics", pages)
	}
	line("  simulated API   http://%s   (its journal: /_simulator/journal)", d.api.Addr())
	line("  embedded Redis  %s", redisURL)
	line("")
	line("  From another shell:")
	line("    export WABLOCK_REDIS_URL=%s WABLOCK_PHONE_NUMBER_ID=%s", redisURL, devPhoneNumberID)
	line("    export WABLOCK_GRAPH_URL=http://%s WABLOCK_ACCESS_TOKEN=%s", d.api.Addr(), devToken)
	line("    go run ./cmd/wablock block +14155550100 --wait")
	line("    go run ./cmd/wablock dead-letter list")
	line("    go run ./cmd/wablock list")
	line("")
	_, _ = d.err.Write([]byte(b.String()))
}

// summarise prints what came of the sample, and returns an error if it is not what must be.
func (d *dev) summarise(r devSummary, s sample, jobs []tasks.Job) error {
	r.Rejected = s.rejected
	if d.json {
		if err := printOne(d.out, r); err != nil {
			return err
		}
	} else if err := d.summaryTable(r); err != nil {
		return err
	}
	switch {
	case r.Unexpected > 0:
		return fmt.Errorf("%s ended otherwise than the sample says; see `wablock status` and the web UI", amounts.Count(r.Unexpected, "number"))
	case r.Rejected > 0:
		return partlyf("%s rejected", amounts.Count(r.Rejected, "line"))
	}
	d.say("every number of %s ended as it must", amounts.Count(len(jobs), "job"))
	return nil
}

func (d *dev) summaryTable(r devSummary) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.AppendRow(table.Row{"succeeded", amounts.Thousands(r.Succeeded), ""})
	for _, code := range slices.Sorted(maps.Keys(r.DeadLettered)) {
		t.AppendRow(table.Row{"dead-lettered", amounts.Thousands(r.DeadLettered[code]), meaning(code)})
	}
	t.AppendSeparator()
	t.AppendRow(table.Row{"API calls", amounts.Thousands(int(r.Calls)), "of up to " + fmt.Sprint(devUsersPerCall) + " numbers"})
	t.AppendRow(table.Row{"rate-limit hits", amounts.Thousands(int(r.RateLimitHits)), "while the hidden limit was learnt"})
	t.AppendRow(table.Row{"took", r.Took, ""})
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}})
	_, err := fmt.Fprintln(d.out, t.Render())
	return err
}

package worker

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
	"github.com/wablock/wablock/worker/internal/lane"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// janitorBatch is the number of completed tasks that are deleted at once, some milliseconds of Redis.
const janitorBatch = 1000

const (
	stopServers = 3 * time.Second  // that asynq's servers may take to stop reading queues
	stopMargin  = 10 * time.Second // beyond ShutdownTimeout, after which Run returns whatever Redis does
	stopAsynq   = 5 * time.Second  // beyond ShutdownTimeout, for asynq's handlers: lanes end before
)

// Worker drains wablock's queues. Make one with New; Run it once.
type Worker struct {
	cfg     Config
	id      string // unlike that of any other worker, ever
	lanes   *lane.Pool
	handler *handler
}

// maxLanes is the number of phone number IDs that are served at once.
const maxLanes = 2000

// New returns a worker that has not started.
func New(cfg Config) (*Worker, error) { return newWorker(cfg, maxLanes) }

func newWorker(cfg Config, lanes int) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	producer, err := tasks.NewProducer(cfg.Redis, tasks.ProducerConfig{Jobs: cfg.Jobs, Names: cfg.Names})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &Worker{cfg: cfg, id: rand.Text()}
	dead := deadletter.New(cfg.Redis)
	died := w.reheard(producer)
	w.lanes = lane.New(lane.Config{
		Redis: cfg.Redis, Resolve: cfg.Resolve, Limiter: cfg.Limiter, Dead: dead, WorkerID: w.id,
		MaxLanes: lanes, MaxAttempts: cfg.MaxAttempts, RequestTimeout: cfg.RequestTimeout, ShutdownTimeout: cfg.ShutdownTimeout,
		RetryDelay: cfg.RetryDelay, ParkClosedWindows: cfg.ParkClosedWindows, Died: died, Names: cfg.Names, Logger: cfg.Logger, Metrics: cfg.Metrics,
	})
	w.handler = &handler{
		redis: cfg.Redis, producer: producer, dead: dead, client: asynq.NewClientFromRedisClient(cfg.Redis),
		lanes: w.lanes, ended: newUnindexer(cfg.Redis, cfg.Logger), died: died, slots: cfg.Slots, log: cfg.Logger,
	}
	return w, nil
}

// giveUpProbe tells the limiter that another worker is dead.
func (w *Worker) giveUpProbe(ctx context.Context, worker, phoneNumberID string) error {
	number, _ := w.cfg.Resolve(phoneNumberID) // without a token its account is not known
	return w.cfg.Limiter.GiveUp(ctx, ratelimit.Key{PhoneNumberID: phoneNumberID, Account: number.Account, Worker: worker})
}

// reheard returns what asks again for users who wrote while the call was under way that refused them. Where that fails
// their next message does it.
func (w *Worker) reheard(p *tasks.Producer) func(ctx context.Context, phoneNumberID string, died []ledger.Entry) {
	return func(ctx context.Context, phoneNumberID string, died []ledger.Entry) {
		died = slices.DeleteFunc(died, func(e ledger.Entry) bool { return e.Failure == nil || e.Failure.Code != tasks.CodeWindow })
		n, err := p.Reheard(ctx, phoneNumberID, died)
		if err != nil {
			w.cfg.Logger.Warn("worker: users who wrote during the call that refused them are not asked for again", keyError, err.Error())
		}
		if n > 0 {
			w.cfg.Logger.Info("worker: users who wrote during the call that refused them are asked for again", keyPhoneNumberID, phoneNumberID, keyUsers, n)
		}
	}
}

// Run drains the queues until ctx ends. Then it takes no more tasks, lets calls in flight end
// and be settled, for ShutdownTimeout at the most, hands the tasks that are not done back, and
// returns nil. An error means that it could not start.
func (w *Worker) Run(ctx context.Context) error {
	begin, stopBegin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBegin()
	var parts sync.WaitGroup
	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx)) // for as long as a call may be out
	defer stopBeats()
	parts.Go(func() {
		defer stopBeats()
		w.lanes.Run(begin)
	})
	parts.Go(func() { w.handler.ended.run(beats) })
	servers := w.servers()
	for i, s := range servers {
		if err := s.Start(w.handler); err != nil {
			for _, started := range servers[:i] {
				started.Shutdown()
			}
			return fmt.Errorf("worker: start asynq: %w", err)
		}
	}
	w.cfg.Logger.Info("worker: started", "worker_id", w.id)
	parts.Go(func() { w.lanes.Listen(ctx) })
	parts.Go(func() { w.watchLimits(ctx) })
	lapses := make(chan struct{}, 1)
	parts.Go(func() { syncDeadLetters(ctx, w.handler.dead, w.cfg.Configured, lapses, w.cfg.Logger) })
	parts.Go(func() { wakeWaiting(ctx, w.cfg.Redis, w.cfg.Configured, w.lanes.Wake) })
	parts.Go(func() { indexTasks(ctx, w.cfg.Redis, w.cfg.Logger) })
	orphans := orphans{redis: w.cfg.Redis, lanes: w.lanes, ensure: w.handler.ensureOnce, log: w.cfg.Logger}
	parts.Go(func() { orphans.run(ctx) })
	takeOver := takeOver{redis: w.cfg.Redis, pulse: fleet.NewPulse(w.cfg.Redis, w.id), probes: w.giveUpProbe, lapses: lapses, log: w.cfg.Logger}
	parts.Go(func() { takeOver.run(beats) })
	ends := ends{redis: w.cfg.Redis, dead: w.handler.dead, log: w.cfg.Logger}
	parts.Go(func() { ends.run(ctx) })

	<-ctx.Done()
	w.cfg.Logger.Info("worker: stopping; calls in flight end first")
	late := time.AfterFunc(stopServers, stopBegin)
	defer late.Stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		each(servers, (*asynq.Server).Stop) // each waits for the end of a sleep between two looks at its queues
		stopBegin()
		each(servers, (*asynq.Server).Shutdown) // beside the lanes: a handler need not belong to one
		parts.Wait()
	}()
	limit := time.NewTimer(w.cfg.ShutdownTimeout + stopMargin)
	defer limit.Stop()
	select {
	case <-ended:
		w.cfg.Logger.Info("worker: stopped")
	case <-limit.C:
		w.cfg.Logger.Error("worker: stopped while Redis does not answer; other workers take over what was under way")
	}
	return nil
}

func each(servers []*asynq.Server, do func(*asynq.Server)) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() { do(s) })
	}
	wg.Wait()
}

// servers returns the asynq servers: one of its own for what must not wait, one for the rest,
// one for the dead letters that are run in the web UI. Queues that share one go by weight: under strict
// priority a stream of jobs would keep schedules and dead letters waiting, and handlers only follow
// users, whose order is the lanes'. Reconcile's is small, since each look into an empty queue costs a round trip.
func (w *Worker) servers() []*asynq.Server {
	n := w.cfg.Concurrency
	dead := map[string]int{queues.DeadLetter: 1}
	if n == 1 {
		return []*asynq.Server{w.server(1, map[string]int{
			string(ledger.Interactive): 6, string(ledger.Bulk): 2, string(ledger.Reconcile): 1, queues.DeadLetter: 1,
		})}
	}
	bulk := max(1, n/4) // the bulk of them is deferred, and has little use for slots
	return []*asynq.Server{
		w.server(n-bulk, map[string]int{string(ledger.Interactive): 1}),
		w.server(bulk, map[string]int{string(ledger.Bulk): 8, string(ledger.Reconcile): 1}),
		w.server(1, dead),
	}
}

func (w *Worker) server(concurrency int, queues map[string]int) *asynq.Server {
	return asynq.NewServerFromRedisClient(backoffRedis{w.cfg.Redis, new(gatherer)}, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   queues,
		IsFailure:                isFailure,
		RetryDelayFunc:           retryDelay,
		TaskCheckInterval:        w.cfg.Poll,
		DelayedTaskCheckInterval: w.cfg.Poll,
		// Lanes end within ShutdownTimeout, and handlers with them.
		ShutdownTimeout: w.cfg.ShutdownTimeout + stopAsynq,
		// Completed tasks of single users come in thousands a second.
		JanitorInterval:  time.Second,
		JanitorBatchSize: janitorBatch,
		Logger:           asynqLogger{w.cfg.Logger},
		LogLevel:         asynq.InfoLevel,
	})
}

// shower is a limiter that can show what it has learnt.
type shower interface {
	Show(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error)
}

// watchLimits passes what the limiter has learnt of the lanes that are open on to the metrics.
func (w *Worker) watchLimits(ctx context.Context) {
	limiter, ok := w.cfg.Limiter.(shower)
	if !ok {
		return
	}
	for ctx.Err() == nil {
		for _, s := range w.lanes.Status() {
			if s.Parked {
				continue
			}
			learnt, err := limiter.Show(ctx, s.PhoneNumberID)
			if err != nil {
				break // the lanes log that Redis fails
			}
			w.lanes.Learnt(s.PhoneNumberID, learnt)
			w.cfg.Metrics.Learnt(s.PhoneNumberID, learnt.Rate, learnt.Anchor, learnt.MaxUsers)
		}
		sleep(ctx, watchLimitsEvery)
	}
}

// Lanes returns what the worker's lanes do, in no order. It is quick.
func (w *Worker) Lanes() []fleet.Lane { return w.lanes.Lanes() }

// maxProblems bounds how many phone number IDs Problems names with the reason, and maxNamed how many without.
const (
	maxProblems = 20
	maxNamed    = 1000
)

// Ready returns why the worker can't work: Redis does not answer, or the API refuses or fails all
// calls of every configured phone number ID; without a configured one, of every one in use. Both
// pass; no work is lost meanwhile.
func (w *Worker) Ready(ctx context.Context) error {
	if err := w.cfg.Redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("worker: Redis does not answer: %w", err)
	}
	unable := make(map[string]bool)
	able := false
	for _, s := range w.lanes.Status() {
		unable[s.PhoneNumberID] = problem(s) != ""
		able = able || !unable[s.PhoneNumberID]
	}
	if len(w.cfg.Configured) > 0 {
		able = slices.ContainsFunc(w.cfg.Configured, func(id string) bool { return !unable[id] })
	}
	if able || len(unable) == 0 {
		return nil
	}
	return fmt.Errorf("worker: %s", strings.Join(w.Problems(), "; "))
}

// Problems names the phone number IDs whose calls the API refuses or fails, in order: at most 20 with the reason,
// then the others by their IDs, at most 1,000 of them.
func (w *Worker) Problems() []string { return problems(w.lanes.Status()) }

func problems(lanes []lane.Status) []string {
	type named struct{ id, text string }
	var all []named
	for _, s := range lanes {
		if p := problem(s); p != "" {
			all = append(all, named{s.PhoneNumberID, p})
		}
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.text, b.text) })
	var texts, others []string
	for i, n := range all {
		switch {
		case i < maxProblems:
			texts = append(texts, n.text)
		case i < maxProblems+maxNamed:
			others = append(others, "phone number ID "+n.id) // by which pages know it from a user's number
		}
	}
	if len(others) > 0 {
		text := "and of " + strings.Join(others, ", ")
		if more := len(all) - maxProblems - len(others); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		texts = append(texts, text)
	}
	return texts
}

// problem returns why the calls of a lane fail and what to do about it, "" when they do not.
func problem(s lane.Status) string {
	switch s.State {
	case verdict.Halted:
		return fmt.Sprintf("the API refuses phone number ID %s: %s. %s", s.PhoneNumberID, s.Reason, s.Help)
	case verdict.Outage:
		return fmt.Sprintf("the API fails all calls of phone number ID %s: %s. %s", s.PhoneNumberID, s.Reason, s.Help)
	case verdict.Running, verdict.Full:
	}
	return ""
}

package worker

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/queues"
)

// settleGrace is what a worker that ends leaves for writing down what came of its last calls.
const settleGrace = 2 * time.Second

// janitorBatch is how many completed tasks are deleted at once, some milliseconds of Redis.
const janitorBatch = 1000

// Worker drains wablock's queues. Make one with New; Run it once.
type Worker struct {
	cfg        Config
	producer   *tasks.Producer
	dead       *deadletter.Queue
	client     *asynq.Client
	lanes      *lanes
	id         string // unlike that of any other worker, ever
	claims     atomic.Int64
	stopping   atomic.Bool
	complaints complaints
}

// New returns a worker that has not started.
func New(cfg Config) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	producer, err := tasks.NewProducer(cfg.Redis, tasks.ProducerConfig{})
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	w := &Worker{
		cfg: cfg, producer: producer, dead: deadletter.New(cfg.Redis),
		client: asynq.NewClientFromRedisClient(cfg.Redis), id: rand.Text(),
	}
	w.lanes = newLanes(w)
	return w, nil
}

func (w *Worker) nextClaimID() string { return w.id + "-" + strconv.FormatInt(w.claims.Add(1), 36) }

func (w *Worker) running() bool { return !w.stopping.Load() }

// Run drains the queues until ctx ends. Then it takes no more tasks, lets calls in flight end
// and be settled, for ShutdownTimeout at the most, hands the tasks that are not done back, and
// returns nil. An error means that it could not start.
func (w *Worker) Run(ctx context.Context) error {
	calls, stopCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCalls()
	begin, stopBegin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBegin()
	settles, stopSettles := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSettles()
	w.lanes.start(begin, calls, settles)

	servers := w.servers()
	for i, s := range servers {
		if err := s.Start(asynq.HandlerFunc(w.ProcessTask)); err != nil {
			for _, started := range servers[:i] {
				started.Shutdown()
			}
			return fmt.Errorf("worker: start asynq: %w", err)
		}
	}
	w.cfg.Logger.Info("worker: started", "worker_id", w.id)
	var g errgroup.Group
	g.Go(func() error { w.listen(ctx); return nil })
	g.Go(func() error { w.adoptOrphans(ctx); return nil })
	g.Go(func() error { w.watchLimits(ctx); return nil })
	g.Go(func() error { w.removeStale(ctx); return nil })

	<-ctx.Done()
	w.cfg.Logger.Info("worker: stopping; calls in flight end first")
	w.stopping.Store(true)
	var stops sync.WaitGroup
	for _, s := range servers { // each waits for the end of a sleep between two looks at its queues
		stops.Go(s.Stop)
	}
	stops.Wait()
	stopBegin()
	cut := time.AfterFunc(w.cfg.ShutdownTimeout, stopCalls)
	defer cut.Stop()
	leave := time.AfterFunc(w.cfg.ShutdownTimeout+settleGrace, stopSettles)
	defer leave.Stop()
	for _, s := range servers { // beside the lanes: a handler need not belong to one
		g.Go(func() error { s.Shutdown(); return nil })
	}
	w.lanes.wait()
	err := g.Wait()
	w.cfg.Logger.Info("worker: stopped")
	return err
}

// servers returns the asynq servers: one of its own for what must not wait, one for the rest,
// one for the dead letters that somebody runs in the web UI.
func (w *Worker) servers() []*asynq.Server {
	n := w.cfg.Concurrency
	dead := map[string]int{queues.DeadLetter: 1}
	if n == 1 {
		return []*asynq.Server{w.server(1, map[string]int{
			string(ledger.Interactive): 4, string(ledger.Bulk): 3, string(ledger.Reconcile): 2, queues.DeadLetter: 1,
		})}
	}
	bulk := max(1, n/4) // the bulk of them is deferred, and has little use for slots
	return []*asynq.Server{
		w.server(n-bulk, map[string]int{string(ledger.Interactive): 1}),
		w.server(bulk, map[string]int{string(ledger.Bulk): 2, string(ledger.Reconcile): 1}),
		w.server(1, dead),
	}
}

func (w *Worker) server(concurrency int, queues map[string]int) *asynq.Server {
	return asynq.NewServerFromRedisClient(patient{w.cfg.Redis}, asynq.Config{
		Concurrency:              concurrency,
		Queues:                   queues,
		StrictPriority:           true,
		IsFailure:                isFailure,
		RetryDelayFunc:           retryDelay,
		TaskCheckInterval:        w.cfg.Poll,
		DelayedTaskCheckInterval: w.cfg.Poll,
		// Lanes end within ShutdownTimeout, and handlers with them.
		ShutdownTimeout: w.cfg.ShutdownTimeout + claimMargin,
		// Completed tasks of single users come in thousands a second.
		JanitorInterval:  time.Second,
		JanitorBatchSize: janitorBatch,
		Logger:           asynqLogger{w.cfg.Logger, &w.complaints},
		LogLevel:         asynq.InfoLevel,
	})
}

// listen wakes lanes when a producer says that users begin to wait.
func (w *Worker) listen(ctx context.Context) {
	sub := w.cfg.Redis.Subscribe(ctx, ledger.PokeChannel)
	defer func() { _ = sub.Close() }()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-sub.Channel():
			if !ok {
				return
			}
			w.lanes.poke(m.Payload)
		}
	}
}

// Ready returns why the worker should get no traffic: Redis does not answer, or the API
// refuses a token. Both pass; nothing is lost meanwhile.
func (w *Worker) Ready(ctx context.Context) error {
	if err := w.cfg.Redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("worker: Redis does not answer: %w", err)
	}
	for _, l := range w.lanes.all() {
		if state, reason, _ := l.gate.status(time.Now()); state == GateHalted {
			return fmt.Errorf("worker: the API refuses phone number ID %s: %s", l.number.ID, reason)
		}
	}
	return nil
}

// persist does something with Redis until it succeeds or ctx ends.
func (w *Worker) persist(ctx context.Context, log *slog.Logger, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		w.complain(log, "worker: Redis fails; trying again", err)
		timer, stop := after(redisRetryDelay)
		select {
		case <-ctx.Done():
			stop()
			return err
		case <-timer:
		}
	}
}

func sprint(args []any) string { return fmt.Sprint(args...) }

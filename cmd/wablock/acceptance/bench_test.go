package acceptance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
)

const (
	benchNumbers = 64_000
	benchRate    = 10 // calls a second that the API allows
	benchLatency = 150 * time.Millisecond
)

// benchSystem is an API of ten calls a second and 150 ms, without faults, and one worker that
// has learnt as much.
func benchSystem(b *testing.B) (*system, *process, *tasks.Producer) {
	b.Helper()
	s := newSystem(b, simulator.Scenario{
		Latency: simulator.Latency{Base: simulator.Duration(benchLatency)},
		Limits:  []simulator.Limit{{Rate: benchRate, Burst: 3}},
		Journal: simulator.JournalLimits{Calls: 100_000, Users: 10_000_000},
	})
	s.env = append(s.env, fmt.Sprintf("WABLOCK_RATE=%d", benchRate), "WABLOCK_BURST=1", "WABLOCK_LOG_LEVEL=warn")
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID, Retention: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	w := s.quietWorker("worker")
	s.warmUp(p)
	return s, w, p
}

// quietWorker starts a worker whose log level hides that it has started.
func (s *system) quietWorker(name string) *process {
	s.t.Helper()
	w := s.start(name, "worker")
	s.eventually("the worker serves", 20*time.Second, func() bool {
		n, err := s.rdb.PubSubNumSub(s.t.Context(), ledger.WakeChannel).Result()
		return err == nil && n[ledger.WakeChannel] > 0
	})
	return w
}

// warmUp lets the worker learn the rate from calls of one number.
func (s *system) warmUp(p *tasks.Producer) {
	s.t.Helper()
	for i := range 200 {
		if _, err := p.Block(s.t.Context(), []string{fmt.Sprintf("+1212%07d", 2000000+i)}, tasks.WithQueue(ledger.Bulk)); err != nil {
			s.t.Fatal(err)
		}
		if i%5 == 0 {
			s.pause(100 * time.Millisecond)
		}
	}
	s.drained(200)
}

func (s *system) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.t.Context().Done():
	}
}

// drained waits until so many users are on the list.
func (s *system) drained(n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d users are blocked", n), 5*time.Minute, func() bool {
		s.pause(200 * time.Millisecond) // looking costs Redis what is to be measured
		b, err := ledger.New(s.rdb, phoneNumberID).Backlog(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		return b.Empty()
	})
}

// BenchmarkDrain sends 64,000 numbers, as one file's worth of tasks and as 64,000 jobs of one
// number. api-% is the share of what the API would have let through from the first call to
// the last; ms are of CPU per 1,000 numbers.
func BenchmarkDrain(b *testing.B) {
	for name, enqueue := range map[string]func(b *testing.B, p *tasks.Producer, all []string){
		"file": func(b *testing.B, p *tasks.Producer, all []string) {
			b.Helper()
			if _, err := p.Block(b.Context(), all); err != nil {
				b.Fatal(err)
			}
		},
		"singles": enqueueSingles,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				benchDrain(b, enqueue)
			}
		})
	}
}

func enqueueSingles(b *testing.B, p *tasks.Producer, all []string) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(32)
	for _, n := range all {
		g.Go(func() error {
			_, err := p.Block(ctx, []string{n}, tasks.WithQueue(ledger.Bulk))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

func benchDrain(b *testing.B, enqueue func(*testing.B, *tasks.Producer, []string)) {
	b.Helper()
	s, w, p := benchSystem(b)
	w.stop()
	all := numbers(benchNumbers)
	enqueue(b, p, all)
	since := len(s.journal())
	redisBefore := s.redisCPU()
	w = s.quietWorker("worker")
	s.drained(benchNumbers)
	s.eventually("the tasks have ended", 3*time.Minute, func() bool {
		s.pause(200 * time.Millisecond)
		n, err := s.rdb.Exists(b.Context(), "asynq:{bulk}:retry", "asynq:{bulk}:pending", "asynq:{bulk}:active").Result()
		return err == nil && n == 0
	})
	worker, redis := w.cpu(), s.redisCPU()-redisBefore
	calls := s.journal()[since:]
	first, last, served, refused := calls[0].Begin, calls[0].Begin, 0, 0
	for _, c := range calls {
		if c.Code == 130429 {
			refused++
			continue
		}
		served += len(c.Users)
		if c.Begin.After(last) {
			last = c.Begin
		}
	}
	if served < benchNumbers {
		b.Fatalf("%d numbers were sent", served)
	}
	possible := 1 + last.Sub(first).Seconds()*benchRate
	b.ReportMetric(100*float64(served)/1000/possible, "api-%")
	b.ReportMetric(float64(len(calls)), "calls")
	b.ReportMetric(float64(refused), "refused")
	b.ReportMetric(float64(worker.Milliseconds())/(benchNumbers/1000), "worker-ms/1000")
	b.ReportMetric(float64(redis.Milliseconds())/(benchNumbers/1000), "redis-ms/1000")
	b.ReportMetric(float64(w.peakMemory())/1e6, "peak-MB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkIdleLatency is the time from enqueueing a number, on a worker that has nothing to
// do, to the API's seeing it.
func BenchmarkIdleLatency(b *testing.B) {
	s, _, p := benchSystem(b)
	var took []time.Duration
	i := 0
	for b.Loop() {
		s.pause(300 * time.Millisecond) // the bucket is full again
		since := len(s.journal())
		start := time.Now()
		if _, err := p.Block(b.Context(), []string{fmt.Sprintf("+1313%07d", 2000000+i)}); err != nil {
			b.Fatal(err)
		}
		i++
		s.eventually("the call is made", 10*time.Second, func() bool { return len(s.journal()) > since })
		took = append(took, s.journal()[since].Begin.Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkInteractiveDuringBulk counts the calls that begin, while 60,000 numbers are under way,
// from the enqueueing of an interactive number up to the one that carries it.
func BenchmarkInteractiveDuringBulk(b *testing.B) {
	s, _, p := benchSystem(b)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var worst int
	i := 0
	for b.Loop() {
		const bulk = benchNumbers - 4000 // all fit on the list: what does not waits for room
		if _, err := p.Block(ctx, numbers(bulk)); err != nil {
			b.Fatal(err)
		}
		for range 10 {
			s.pause(400 * time.Millisecond)
			n := fmt.Sprintf("+1414%07d", 2000000+i)
			i++
			if _, err := p.Block(ctx, []string{n}); err != nil {
				b.Fatal(err)
			}
			accepted := time.Now()
			worst = max(worst, s.callsUntil(n, accepted))
		}
		s.drained(bulk)
	}
	b.ReportMetric(float64(worst), "worst-calls")
	b.ReportMetric(0, "ns/op")
}

// callsUntil counts the calls from a time up to the one that carries a number.
func (s *system) callsUntil(n string, since time.Time) int {
	s.t.Helper()
	calls := 0
	s.eventually("the number is sent", 30*time.Second, func() bool {
		calls = 0
		for _, c := range s.journal() {
			if c.Begin.Before(since) {
				continue
			}
			calls++
			if slices.ContainsFunc(c.Users, func(u simulator.CallUser) bool { return u.User == n }) {
				return true
			}
		}
		return false
	})
	return calls
}

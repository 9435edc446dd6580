package overview_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/metrics"
	"github.com/wablock/wablock/worker/web/overview"
)

// BenchmarkLooking prints what a worker costs Redis while people look at its pages and Prometheus scrapes it: the
// milliseconds of Redis's CPU in a second, beyond those of an idle Redis, at a hundred phone number IDs with jobs, figures of an hour and dead letters. The
// aim is 2.
//
//	go test ./worker/web/overview -run '^$' -bench Looking -benchtime 240x
func BenchmarkLooking(b *testing.B) {
	for _, dead := range []int{0, 50, 1000} {
		b.Run(fmt.Sprintf("dead=%d", dead), func(b *testing.B) {
			rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(b).Addr})
			b.Cleanup(func() { _ = rdb.Close() })
			ids := fill(b, rdb, 100, 200, 10, dead)
			m := metrics.New("", ids...)
			if err := errors.Join(m.WatchQueues(rdb), m.WatchPauses(rdb, ids)); err != nil {
				b.Fatal(err)
			}
			limiter := redislimit.New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20, Burst: 5} })
			r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: ids, Limit: func(ctx context.Context, _ []fleet.Worker, id string) (ratelimit.Snapshot, error) {
				return limiter.Show(ctx, id)
			}})
			r.Now(b.Context())
			idle, pause := cpu(b, rdb), 4*time.Second
			<-time.After(pause)
			idle = (cpu(b, rdb) - idle) / pause.Seconds()
			scraped, before, began := 0, cpu(b, rdb), time.Now()
			second := time.NewTicker(250 * time.Millisecond)
			defer second.Stop()
			for b.Loop() { // four viewers, and a scrape every ten seconds or so
				r.Now(b.Context())
				if scraped++; scraped%40 == 0 {
					if _, err := m.Registry().Gather(); err != nil {
						b.Fatal(err)
					}
				}
				<-second.C
			}
			seconds := time.Since(began).Seconds()
			b.ReportMetric(((cpu(b, rdb)-before)/seconds-idle)*1000, "ms-of-redis/s")
		})
	}
}

// cpu returns the seconds of CPU that a Redis has used.
func cpu(tb testing.TB, rdb redis.UniversalClient) (seconds float64) {
	tb.Helper()
	text, err := rdb.Info(context.WithoutCancel(tb.Context()), "cpu").Result()
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(text) {
		for _, name := range []string{"used_cpu_user:", "used_cpu_sys:"} {
			var s float64
			if value, ok := strings.CutPrefix(line, name); ok {
				_, _ = fmt.Sscan(value, &s)
				seconds += s
			}
		}
	}
	return seconds
}

// fill writes phone number IDs into a Redis, each with users that wait, jobs, dead users and the figures of an hour.
func fill(tb testing.TB, rdb redis.UniversalClient, numbers, waiting, jobs, dead int) []string {
	tb.Helper()
	ids, rec := make([]string, numbers), figures.NewRecorder(rdb)
	m := fleet.NewMember(rdb, fleet.Worker{Machine: "pod-a", PID: 7, GraphHost: "graph.example.com"}, slog.New(slog.DiscardHandler))
	lanes := []fleet.Lane{}
	for i := range ids {
		ids[i] = fmt.Sprint(5000 + i)
		lanes = append(lanes, fleet.Lane{PhoneNumberID: ids[i], State: fleet.Running})
		p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: ids[i]})
		if err != nil {
			tb.Fatal(err)
		}
		for k := range jobs {
			users := make([]string, 0, waiting/jobs)
			for n := range waiting / jobs {
				users = append(users, fmt.Sprintf("+1650555%04d", n+k*waiting/jobs))
			}
			if _, err := p.Block(tb.Context(), users, tasks.WithRequester("ana@trust"), tasks.WithReason("spam"), tasks.WithQueue(ledger.Bulk)); err != nil {
				tb.Fatal(err)
			}
		}
		kill(tb, ledger.New(rdb, ids[i]), dead)
		rec.Add(ids[i], figures.Counts{Calls: 100, Succeeded: 900, Refusals: 1})
	}
	m.Show(func() []fleet.Lane { return lanes })
	if err := errors.Join(rec.Flush(tb.Context()), m.Beat(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	return ids
}

// kill dead-letters users of four codes.
func kill(tb testing.TB, l *ledger.Ledger, n int) {
	tb.Helper()
	if n == 0 {
		return
	}
	v, err := l.NextVersion(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	requests, settled := make([]ledger.Request, n), make([]ledger.Settlement, n)
	for k := range requests {
		u, err := user.FromCanonical(fmt.Sprintf("+1650444%04d", k))
		if err != nil {
			tb.Fatal(err)
		}
		requests[k] = ledger.Request{User: u, Operation: ledger.Unblock, Queue: ledger.Interactive, Version: v}
		settled[k] = ledger.Settlement{User: u, Version: v, Do: ledger.Kill, Failure: &ledger.Failure{Code: []int{131047, 131021, 139101, 100}[k%4]}}
	}
	if _, err := l.Mark(tb.Context(), requests); err != nil {
		tb.Fatal(err)
	}
	if _, err := l.Claim(tb.Context(), ledger.ClaimOptions{ID: "c1", Max: n, Timeout: time.Minute, Only: ledger.Unblock}); err != nil {
		tb.Fatal(err)
	}
	if _, err := l.Settle(tb.Context(), "c1", settled); err != nil {
		tb.Fatal(err)
	}
}

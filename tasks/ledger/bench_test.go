package ledger_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// meter reads what an operation costs on both sides: the Go process's own CPU time, and that
// of the Redis beside it.
type meter struct {
	b          *testing.B
	rdb        redis.UniversalClient
	redis, own time.Duration
}

func startMeter(b *testing.B, rdb redis.UniversalClient) *meter {
	b.Helper()
	m := &meter{b: b, rdb: rdb}
	m.redis, m.own = m.read()
	return m
}

func (m *meter) read() (redisCPU, own time.Duration) {
	m.b.Helper()
	info, err := m.rdb.Info(context.Background(), "cpu").Result()
	if err != nil {
		m.b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			s, _ := strconv.ParseFloat(value, 64)
			redisCPU += time.Duration(s * float64(time.Second))
		}
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		m.b.Fatal(err)
	}
	return redisCPU, time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report gives milliseconds per 1,000 users, given how many an iteration had.
func (m *meter) report(users int) {
	m.b.Helper()
	r, own := m.read()
	thousands := float64(m.b.N*users) / 1000
	m.b.ReportMetric((r-m.redis).Seconds()*1000/thousands, "redis-ms/1000users")
	m.b.ReportMetric((own-m.own).Seconds()*1000/thousands, "go-ms/1000users")
}

func thousand(b *testing.B, version ledger.Version) []ledger.Request {
	b.Helper()
	requests := make([]ledger.Request, ledger.MaxBatch)
	for i := range requests {
		requests[i] = ledger.Request{User: num(b, i), Operation: ledger.Block, Queue: ledger.Bulk, Version: version}
	}
	return requests
}

// BenchmarkLife takes 1,000 users of one request from mark to settlement, and looks at them
// twice on the way, as the handler of their task does (look-ms is of both looks).
func BenchmarkLife(b *testing.B) {
	rdb := redistest.Real(b)
	f := setup(b, rdb)
	requests, settlements := thousand(b, 0), make([]ledger.Settlement, ledger.MaxBatch)
	steps := map[string]time.Duration{}
	m := startMeter(b, rdb)
	n, ctx := 0, b.Context()
	timed := func(step string, do func()) {
		start := time.Now()
		do()
		steps[step] += time.Since(start)
	}
	b.ReportAllocs()
	for b.Loop() {
		n++
		v := f.version()
		for i := range requests {
			requests[i].Version = v
		}
		var c ledger.Claim
		timed("mark", func() { must(f.Mark(ctx, requests)) })
		timed("look", func() { must(f.Mark(ctx, requests)) })
		timed("claim", func() {
			c = must(f.Claim(ctx, ledger.ClaimOptions{ID: fmt.Sprintf("bench-%d", n), Max: ledger.MaxBatch, Timeout: time.Minute}))
		})
		for i, u := range c.Users {
			settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: "16505550001"}
		}
		timed("settle", func() { must(f.Settle(ctx, c.ID, settlements)) })
		timed("look", func() { must(f.Mark(ctx, requests)) })
	}
	m.report(ledger.MaxBatch)
	for step, took := range steps {
		b.ReportMetric(took.Seconds()*1000/float64(b.N), step+"-ms")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// BenchmarkClaimAfterOutage is the longest that one script holds Redis up: a claim of 1,000
// users that first puts 2,000 whose deadline has passed in line again.
func BenchmarkClaimAfterOutage(b *testing.B) {
	rdb := redistest.Real(b)
	f := setup(b, rdb)
	requests, n, took := thousand(b, 0), 0, time.Duration(0)
	for b.Loop() {
		for half := range 2 {
			v := f.version()
			for i := range requests {
				requests[i].User, requests[i].Version = num(b, half*ledger.MaxBatch+i), v
			}
			must(f.Mark(b.Context(), requests))
			f.claim(ledger.MaxBatch, "")
		}
		past := make([]redis.Z, 0, 2*ledger.MaxBatch)
		for i := range cap(past) {
			past = append(past, redis.Z{Score: 1, Member: num(b, i).Reveal()})
		}
		must(rdb.ZAdd(b.Context(), laterKey, past...).Result())
		start := time.Now()
		if c := f.claim(ledger.MaxBatch, ""); len(c.Users) != ledger.MaxBatch {
			b.Fatal(len(c.Users))
		}
		took += time.Since(start)
		n++
	}
	b.ReportMetric(took.Seconds()*1000/float64(n), "claim-ms")
}

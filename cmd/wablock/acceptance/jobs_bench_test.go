package acceptance

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

const (
	benchJobs   = 1_000_000 // of a single user each
	benchChunks = 100       // jobs of a thousand users, each way
)

// BenchmarkJobs measures what it costs Redis that jobs are kept and counted:
//
//	go test ./cmd/wablock/acceptance -run '^$' -bench Jobs -benchtime 1x -timeout 30m
//
// Of memory, that of a million jobs of a single user, all of which are kept, with what their users take and without. Of CPU, that of
// chunks of 1,000 fresh users, from request to settlement, of jobs and of requests that belong to none, in turn.
func BenchmarkJobs(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
			benchJobMemory(b)
		}
	})
	b.Run("chunks", func(b *testing.B) {
		for b.Loop() {
			benchChunkCPU(b)
		}
	})
}

func benchUsers(b *testing.B, first, n int) []user.ID {
	b.Helper()
	users := make([]user.ID, n)
	for i := range users {
		var err error
		if users[i], err = user.FromCanonical(fmt.Sprintf("+1650%07d", 2_000_000+first+i)); err != nil {
			b.Fatal(err)
		}
	}
	return users
}

func benchJobMemory(b *testing.B) {
	b.Helper()
	s := newSystem(b, simulator.Scenario{})
	empty := s.redisMemory()
	marked := func(jobs bool) int {
		l := ledger.New(s.rdb, phoneNumberID)
		text := ledger.Text{By: "loadtest@host", Reason: "spam"}
		g, ctx := errgroup.WithContext(b.Context())
		const some = 1000
		g.SetLimit(16)
		for first := 0; first < benchJobs; first += some {
			users := benchUsers(b, first, some)
			g.Go(func() error {
				requests := make([]ledger.Request, 0, some)
				for i, u := range users {
					r := ledger.Request{User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: ledger.Version(first + i + 1)}
					if jobs {
						record := ledger.JobRecord{
							ID: fmt.Sprintf("evt-%08d", first+i), Operation: r.Operation, Queue: r.Queue, Text: text.Digest(), At: time.Now().UnixMilli(), Accepted: 1, Parts: 1,
						}
						var err error
						if r.Version, err = l.Register(ctx, record, text, 0, ledger.JobLimits{Jobs: benchJobs}); err != nil {
							return err
						}
						if err := l.PutList(ctx, r.Version, 1, []byte(u.Reveal())); err != nil {
							return err
						}
						r.Job = ledger.JobRef{Counted: true, ID: record.ID, Text: record.Text, Part: 1}
					}
					requests = append(requests, r)
				}
				_, err := l.Mark(ctx, requests)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		return s.redisMemory() - empty
	}
	without := marked(false)
	if err := s.rdb.FlushAll(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	with := marked(true)
	b.ReportMetric(float64(with)/1e6, "redis-MB")
	b.ReportMetric(float64(without)/1e6, "users-MB")
	b.ReportMetric(float64(with-without)/benchJobs, "B/job")
	b.ReportMetric(0, "ns/op")
}

func benchChunkCPU(b *testing.B) {
	b.Helper()
	s := newSystem(b, simulator.Scenario{})
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		b.Fatal(err)
	}
	l, chunk := ledger.New(s.rdb, phoneNumberID), 0
	life := func(n int, r tasks.Request) time.Duration {
		users := benchUsers(b, chunk*ledger.MaxBatch, ledger.MaxBatch)
		chunk++
		r.Users = users
		before := s.redisCPU()
		job, err := p.Enqueue(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		c, err := l.Claim(b.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("bench-%d-%t", n, r.Unlisted), Max: ledger.MaxBatch, Timeout: time.Minute})
		if err != nil || len(c.Users) != len(users) {
			b.Fatal(len(c.Users), err)
		}
		settlements := make([]ledger.Settlement, len(c.Users))
		for i, u := range c.Users {
			settlements[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, WaID: u.User.Reveal()[1:]}
		}
		if _, err := l.Settle(b.Context(), c.ID, settlements); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Progress(b.Context(), phoneNumberID, job.Version, users); err != nil {
			b.Fatal(err)
		}
		return s.redisCPU() - before
	}
	var without, with []time.Duration
	for n := range benchChunks {
		v, err := l.NextVersion(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		without = append(without, life(n, tasks.Request{Operation: ledger.Block, Unlisted: true, Version: v}))
		with = append(with, life(n, tasks.Request{Operation: ledger.Block, Requester: "loadtest@host", Reason: "spam"}))
	}
	// Medians: what else the machine does falls on single chunks.
	slices.SortFunc(without, cmp.Compare)
	slices.SortFunc(with, cmp.Compare)
	a, j := without[benchChunks/2].Seconds()*1000, with[benchChunks/2].Seconds()*1000
	b.ReportMetric(a, "redis-ms/1000")
	b.ReportMetric(j, "jobs-redis-ms/1000")
	b.ReportMetric(100*(j-a)/a, "more-%")
	b.ReportMetric(0, "ns/op")
}

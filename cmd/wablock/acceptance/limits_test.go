package acceptance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestRedisFull fills Redis up to its maxmemory while the API refuses the worker's token:
// producers are told so. What was accepted is carried out as soon as the API allows, nearly all
// of it while Redis is still full; the job that was cut off is completed by repeating it.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{
		AppSecret: appSecret, Tokens: []simulator.Token{{Token: accessToken}}, Blocking: simulator.Blocking{Capacity: 200_000},
	}, "--maxmemory", fmt.Sprintf("%dmb", redistest.Rounds(t, 14, 24)))
	token := s.file("token", "stale")
	w := s.worker("one", "WABLOCK_ACCESS_TOKEN=", "WABLOCK_ACCESS_TOKEN_FILE="+token)
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	all := numbers(150_000)
	var accepted []string
	var cutOff *tasks.EnqueueError
	for from := 0; cutOff == nil; from += 2500 {
		if from >= len(all) {
			t.Fatal("Redis never became full")
		}
		_, err := p.Block(t.Context(), all[from:from+2500])
		if err == nil {
			accepted = append(accepted, all[from:from+2500]...)
			continue
		}
		if !errors.Is(err, tasks.ErrRedisFull) || !errors.As(err, &cutOff) {
			t.Fatalf("got %v", err)
		}
	}
	t.Logf("full after %d users: %v", len(accepted), cutOff)
	if a := s.run("block", "+16509999999"); a.code != 1 || !strings.Contains(a.err, "Redis is full") || !strings.Contains(a.err, "--job-id") {
		t.Errorf("the command line: %d %s", a.code, a.err)
	}
	cpu := w.cpu()
	<-time.After(3 * time.Second)
	if used := w.cpu() - cpu; used > 2*time.Second {
		t.Errorf("the worker used %v of CPU in 3 s of waiting", used)
	}

	// What connections gave back must not make room meanwhile.
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "10mb").Err(); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if err := os.WriteFile(token, []byte(accessToken), 0o600); err != nil {
		t.Fatal(err)
	}
	// Tasks whose users Redis had no room to mark wait until asynq can move tasks again.
	left := idsOf(t, accepted)
	s.leaves("what was accepted and marked is carried out", &left, 5000)
	t.Logf("%d of %d carried out %v after the token was accepted", len(accepted)-len(left), len(accepted), time.Since(at).Round(time.Second))
	if err := s.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	s.leaves("all that was accepted is carried out", &left, 0)
	ids := idsOf(t, all[len(accepted):len(accepted)+2500])
	job, err := p.Enqueue(t.Context(), tasks.Request{Operation: ledger.Block, Users: ids, JobID: cutOff.JobID})
	if err != nil {
		t.Fatal(err)
	}
	s.done(p, job, time.Minute)
	if n := len(s.want(0, s.run("dead-letter", "list", "--json")).out); n > 0 {
		t.Error("there are dead letters")
	}
}

// leaves takes out of ids those that the ledger says have been blocked until no more than so many are
// left. A look reads those alone, and now and then: it is work for Redis, and for the machine.
func (s *system) leaves(what string, ids *[]user.ID, most int) {
	s.t.Helper()
	l := ledger.New(s.rdb, phoneNumberID)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	s.eventually(what, 3*time.Minute, func() bool {
		<-tick.C
		var left []user.ID
		for batch := range slices.Chunk(*ids, ledger.MaxBatch) {
			entries, err := l.Entries(s.t.Context(), batch)
			if err != nil {
				s.t.Fatal(err)
			}
			for i, e := range entries {
				if e.State != ledger.Succeeded {
					left = append(left, batch[i])
				}
			}
		}
		*ids = left
		return len(left) <= most
	})
}

// BenchmarkMillion blocks a million numbers, in one job of the command line, through one
// worker, and reports what that takes:
//
//	go test -run '^$' -bench Million -benchtime 1x -timeout 30m ./cmd/wablock/acceptance
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		s := newSystem(b, simulator.Scenario{
			AppSecret: appSecret, Blocking: simulator.Blocking{Capacity: 2_000_000},
			Latency: simulator.Latency{Base: simulator.Duration(50 * time.Millisecond)},
		})
		s.env = append(s.env, "WABLOCK_RATE=1000", "WABLOCK_BURST=100")
		file := s.file("numbers.csv", strings.Join(numbers(1_000_000), "\n"))
		start := time.Now()
		job := objects[jobObject](b, s.want(0, s.run("block", "--file", file, "--json")).out)[0]
		enqueued := time.Since(start)
		full := s.redisMemory()
		w := s.worker("one")
		l := ledger.New(s.rdb, phoneNumberID)
		s.eventually("all is done", 20*time.Minute, func() bool {
			backlog, err := l.Backlog(b.Context())
			return err == nil && backlog.Empty()
		})
		drained := time.Since(start) - enqueued
		peak := w.peakMemory()
		b.ReportMetric(float64(job.Accepted), "numbers")
		b.ReportMetric(enqueued.Seconds(), "s-to-enqueue")
		b.ReportMetric(drained.Seconds(), "s-to-drain")
		b.ReportMetric(float64(peak)/1e6, "worker-peak-MB")
		b.ReportMetric(float64(full)/1e6, "redis-queued-MB")
		b.ReportMetric(float64(s.redisMemory())/1e6, "redis-done-MB")
		if peak > 150e6 {
			b.Errorf("the worker took %d MB", peak/1e6)
		}
		w.signal(syscall.SIGTERM)
		<-w.exited
	}
}

package acceptance

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestOnCluster runs all that a Redis has to do for wablock on a cluster of three masters and
// three replicas, and kills the master of the ledger, and then that of the queue, while they
// are at work.
func TestOnCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	rdb := c.Client(t)
	f := newFailover(t, c.URL(), rdb)
	for _, key := range []string{"wablock:{" + phoneNumberID + "}:users", "asynq:{bulk}:pending"} {
		f.drain(key, func() {
			master, err := c.Master(t.Context(), rdb, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := master.Replicated(t.Context()); err != nil {
				t.Fatal(err)
			}
			master.Kill()
			t.Cleanup(func() { _ = master.Restart(t.Context()) })
		})
	}
	f.commands()
}

// TestOnSentinel is the same for a master and a replica under three Sentinels.
func TestOnSentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	f := newFailover(t, s.URL(), s.Client(t))
	f.drain("the master", func() {
		if err := s.Servers[0].Replicated(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Servers[0].Kill()
	})
	f.commands()
}

// failover is a system whose Redis fails over.
type failover struct {
	*system
	workers []*process
	next    int // the first number not used yet
}

const silentNumber = "+15550131047" // of the simulator: it can't be blocked

func newFailover(t *testing.T, url string, rdb redis.UniversalClient) *failover {
	t.Helper()
	s := newSystemOn(t, simulator.Scenario{
		AppSecret: appSecret,
		Latency:   simulator.Latency{Base: simulator.Duration(50 * time.Millisecond)},
		Limits:    []simulator.Limit{{Rate: 20, Burst: 5}},
		Listing:   simulator.Listing{MaxLimit: 1000},
		Journal:   simulator.JournalLimits{Calls: 50_000, Users: 5_000_000},
	}, url, rdb)
	s.env = append(s.env, "WABLOCK_MAX_USERS_PER_CALL=25", "WABLOCK_REQUEST_TIMEOUT=5s")
	f := &failover{system: s}
	f.workers = []*process{s.worker("one"), s.worker("two")}
	return f
}

// drain lets a master be killed in the middle of a job, and sees it through.
func (f *failover) drain(what string, kill func()) {
	t := f.t
	t.Helper()
	p, err := tasks.NewProducer(f.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	all := numbers(f.next + redistest.Rounds(t, 1500, 3000))[f.next:]
	f.next += len(all)
	job, err := p.Block(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	before := len(f.journal())
	f.eventually("calls go out", 30*time.Second, func() bool { return len(f.journal()) > before+10 })
	kill()
	killed, calls := time.Now(), len(f.journal())
	f.eventually("calls go out again", 30*time.Second, func() bool { return len(f.journal()) > calls+5 })
	t.Logf("%s killed: calls went on within %v", what, time.Since(killed).Round(10*time.Millisecond))
	f.eventually("the job is done", 90*time.Second, func() bool {
		progress, err := p.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
		return err == nil && progress.Succeeded == len(all)
	})
	t.Logf("%d users done %v after that", len(all), time.Since(killed).Round(10*time.Millisecond))
}

// commands runs every command there is that needs Redis.
func (f *failover) commands() {
	t := f.t
	t.Helper()
	doctor := f.run("doctor")
	if !strings.Contains(doctor.out+doctor.err, "noeviction") {
		t.Errorf("doctor: %d %s%s", doctor.code, doctor.out, doctor.err)
	}
	all := numbers(f.next)
	var want []string
	for _, n := range all {
		want = append(want, n[1:])
	}
	if d := cmp.Diff(want, f.list()); d != "" {
		t.Errorf("the list is not what was accepted: %.2000s", d)
	}
	f.statuses(all, func(o statusObject) bool { return o.State == "succeeded" && o.Operation == "block" })
	f.want(3, f.run("block", silentNumber, "--wait", "--json"))
	f.dead(1)
	f.want(3, f.run("dead-letter", "redrive", "--all", "--wait", "--json"))
	f.dead(1)
	f.want(0, f.run("dead-letter", "discard", "--all", "--json"))
	f.dead(0)
	f.want(0, f.run("unblock", all[0], all[1], "--wait", "--json"))
	f.statuses(all[:2], func(o statusObject) bool { return o.State == "succeeded" && o.Operation == "unblock" })
	f.reconciles(all[2:])
	f.steers(all[0], all[1])
	f.limits()
	for _, w := range f.workers {
		for _, path := range []string{"/readyz", "/metrics", "/monitor/", "/monitor/api/queues", "/monitor/api/queues/bulk/completed_tasks"} {
			get(t, "http://"+w.httpAddr()+path)
		}
	}
	f.noOverlaps()
	for _, w := range f.workers {
		w.stop()
	}
}

// reconciles repairs a drift of one user in either direction.
func (f *failover) reconciles(desired []string) {
	f.t.Helper()
	file := f.file("desired.csv", csv(desired[1:])+silentNumber[:len(silentNumber)-4]+"9999\n")
	plan := f.reconcile(0, "--file", file)
	if len(plan.ToBlock) != 1 || len(plan.ToUnblock) != 1 {
		f.t.Fatalf("the plan is %+v", plan)
	}
	if applied := f.reconcile(0, "--apply", "--file", file, "--wait"); applied.Blocks != 1 || applied.Unblocks != 1 {
		f.t.Errorf("applied: %+v", applied)
	}
	if plan = f.reconcile(0, "--file", file); len(plan.ToBlock)+len(plan.ToUnblock) > 0 {
		f.t.Errorf("a second plan is not empty: %+v", plan)
	}
	if runs := f.runs(); len(runs) == 0 {
		f.t.Error("no run is remembered")
	}
}

// limits overrules the learnt limit, as operators do.
func (f *failover) limits() {
	f.t.Helper()
	f.want(0, f.run("limits", "pin", "7", "--json"))
	if out := f.want(0, f.run("limits", "show", "--json")).out; !strings.Contains(out, phoneNumberID) {
		f.t.Errorf("limits show: %s", out)
	}
	f.want(0, f.run("limits", "release", "--json"))
}

func (f *failover) dead(n int) {
	f.t.Helper()
	if got := len(objects[deadObject](f.t, f.want(0, f.run("dead-letter", "list", "--json")).out)); got != n {
		f.t.Errorf("%d dead letters, want %d", got, n)
	}
}

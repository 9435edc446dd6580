package overview_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/waiting"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/web/overview"
)

const id = "106540352242922"

var now = time.Date(2026, 11, 26, 3, 12, 7, 0, time.UTC)

// working returns the facts of a system in which nothing needs attention.
func working() overview.Facts {
	return overview.Facts{
		Now: now,
		Workers: []fleet.Worker{{
			Machine: "pod-a", PID: 7, Version: "v1.4.0", Since: now.Add(-time.Hour),
			Lanes: []fleet.Lane{{PhoneNumberID: id, State: fleet.Running}},
		}},
		Numbers: []overview.NumberFacts{{
			ID:      id,
			Backlog: ledger.Backlog{Bulk: 3820, Later: 20, Oldest: ledger.Version(now.Add(-72 * time.Second).UnixMicro())},
			Limit:   ratelimit.Snapshot{Rate: 3.2, Learnt: 3.2, Ceiling: 20, MaxUsers: 100, Calls: 5},
		}},
	}
}

func lane(l fleet.Lane) func(*overview.Facts) {
	l.PhoneNumberID = id
	return func(f *overview.Facts) { f.Workers[0].Lanes = []fleet.Lane{l} }
}

func paused(number string, ops ...ledger.Operation) func(*overview.Facts) {
	return func(f *overview.Facts) {
		for _, op := range ops {
			f.Pauses = append(f.Pauses, pause.Pause{
				PhoneNumberID: number, Operation: op, Reason: "wrong file", RequestedBy: "ana@ops1", Since: now.Add(-5 * time.Minute),
			})
		}
	}
}

// TestEveryCauseIsNamed plants a cause for which calls have stopped, or are slow: it stands first, in words, with what to do.
func TestEveryCauseIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(*overview.Facts)
		cause overview.Cause
		state overview.State
		text  []string
		next  string
	}{
		"token refused": {
			lane(fleet.Lane{State: fleet.Halted, Code: 190, Reason: "access token expired or invalid", Help: "Put a new token into /etc/wablock/token.", Since: now.Add(-14 * time.Minute), NextTrial: now.Add(20 * time.Second)}),
			overview.CauseHalted, overview.Halted,
			[]string{"refuses all calls", "190, access token expired", "14m", "3,840 users wait", "oldest for 1m12s", "next trial is in 20s"},
			"/etc/wablock/token",
		},
		"list full": {
			lane(fleet.Lane{State: fleet.Full, Code: 139101, Since: now.Add(-13 * time.Minute)}),
			overview.CauseFull, overview.Full,
			[]string{"blocklist is full", "64,000", "3,840 users wait"},
			"redrive --code 139101",
		},
		"paused": {
			paused(id, ledger.Block, ledger.Unblock),
			overview.CausePaused, overview.Paused,
			[]string{"paused", "ana@ops1", "wrong file", "5m"},
			"wablock resume --phone-number-id " + id,
		},
		"all paused": {
			paused("", ledger.Block, ledger.Unblock),
			overview.CausePaused, overview.Paused,
			[]string{"for all phone number IDs", "ana@ops1"},
			"wablock resume --all",
		},
		"pinned": {
			func(f *overview.Facts) {
				f.Numbers[0].Limit.Pinned, f.Numbers[0].Limit.Rate = 0.01, 0.01
				f.Numbers[0].Pin = audit.Event{Action: audit.Pin, By: "ben", PhoneNumberID: id, At: now.Add(-30 * time.Hour)}
			},
			overview.CausePinned, overview.Running,
			[]string{"pinned at 0.01/s", "ben", "about 1h3m"},
			"wablock limits release",
		},
		"outage": {
			lane(fleet.Lane{State: fleet.Outage, Code: 2, Reason: "service unavailable", Help: "See metastatus.com.", Since: now.Add(-time.Minute)}),
			overview.CauseOutage, overview.Outage,
			[]string{"fails all calls", "service unavailable", "1m"},
			"metastatus.com",
		},
		"low rate": {
			func(f *overview.Facts) { f.Numbers[0].Limit.Rate, f.Numbers[0].Limit.MaxUsers = 0.1, 20 },
			overview.CauseRate, overview.Running,
			[]string{"rate is low: 0.1/s of up to 20 users", "about 31m40s"},
			"which other program",
		},
		"low ceiling": {
			func(f *overview.Facts) { f.Numbers[0].Limit.Rate, f.Numbers[0].Limit.Ceiling = 0.01, 0.01 },
			overview.CauseRate, overview.Running,
			[]string{"rate is low"},
			"WABLOCK_RATE",
		},
		"quota used up": {
			func(f *overview.Facts) { f.Numbers[0].Limit.PausedUntil = now.Add(20 * time.Minute) },
			overview.CauseRate, overview.Running,
			[]string{"no call goes before 03:32:07 UTC"},
			"other program",
		},
		"no worker": {
			func(f *overview.Facts) { f.Workers = nil },
			overview.CauseNoWorker, overview.NoWorker,
			[]string{"No worker is running", "3,840 users wait"},
			"wablock worker",
		},
		"no worker with the token": {
			func(f *overview.Facts) { f.Workers[0].Lanes = nil },
			overview.CauseNoWorker, overview.NoWorker,
			[]string{"No running worker calls"},
			"phone_numbers",
		},
		"Redis full": {
			func(f *overview.Facts) { f.Memory = overview.Memory{Used: 100 << 20, Max: 100 << 20} },
			overview.CauseRedisFull, overview.Running,
			[]string{"Redis is full", "100 of 100 MB"},
			"maxmemory",
		},
		"Redis full, workers silent": {
			func(f *overview.Facts) { f.Workers, f.Silent = nil, true },
			overview.CauseRedisFull, overview.NoWorker,
			[]string{"Redis is full"},
			"maxmemory",
		},
		"reconciliation stopped": {
			func(f *overview.Facts) {
				f.Numbers[0].LastRun = &reconcile.Record{EndedAt: now, Error: "the source has no users"}
			},
			overview.CauseReconcile, overview.Running,
			[]string{"the source has no users"},
			"reconcile --history",
		},
		"list nearly full": {
			func(f *overview.Facts) {
				f.Numbers[0].Listed = &reconcile.Record{EndedAt: now.Add(-time.Hour), Actual: 62_000}
			},
			overview.CauseNearlyFull, overview.Running,
			[]string{"62,000 of 64,000"},
			"Unblock",
		},
		"dead letters": {
			func(f *overview.Facts) {
				f.Numbers[0].Series.Minutes = []figures.Minute{{Counts: figures.Counts{DeadLettered: 3}}}
				f.Numbers[0].Dead = []ledger.DeadCode{{Code: 131047, Users: 150}, {Code: 0, Users: 2}}
			},
			overview.CauseDeadLetters, overview.Running,
			[]string{"3 users dead-lettered in the last hour", "150 × 131047 re-engagement required", "2 × unknown error"},
			"--summary",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := working()
			c.plant(&f)
			o := overview.Of(f)
			if len(o.Attention) == 0 {
				t.Fatal("nothing needs attention")
			}
			n := o.Attention[0]
			if n.Cause != c.cause || !strings.Contains(n.Next, c.next) {
				t.Errorf("cause %q, next %q", n.Cause, n.Next)
			}
			for _, want := range c.text {
				if !strings.Contains(n.Text, want) {
					t.Errorf("%q does not say %q", n.Text, want)
				}
			}
			if got := o.PhoneNumbers[0].State; got != c.state {
				t.Errorf("state %q, want %q", got, c.state)
			}
		})
	}
}

func TestWorkingNeedsNoAttention(t *testing.T) {
	t.Parallel()
	f := working()
	o := overview.Of(f)
	if len(o.Attention) != 0 {
		t.Errorf("%+v", o.Attention)
	}
	p := o.PhoneNumbers[0]
	if p.State != overview.Running || p.ExpectedAt.Sub(now) != 11*time.Second || p.Oldest != now.Add(-72*time.Second) {
		t.Errorf("%+v", p)
	}
	f.Workers[0].Lanes[0].UsersPerSecond = 38
	if p := overview.Of(f).PhoneNumbers[0]; p.ExpectedAt.Sub(now) != 100*time.Second {
		t.Errorf("with the pace that was seen: %v", p.ExpectedAt.Sub(now))
	}
	f.Numbers[0].Backlog = ledger.Backlog{}
	if p := overview.Of(f).PhoneNumbers[0]; p.State != overview.Idle || !p.ExpectedAt.IsZero() {
		t.Errorf("%+v", p)
	}
}

// TestWorstStopCounts: of several that stop the same calls, the one that a person must mend first is the state; all are named.
func TestWorstStopCounts(t *testing.T) {
	t.Parallel()
	f := working()
	lane(fleet.Lane{State: fleet.Full})(&f)
	paused(id, ledger.Unblock)(&f)
	o := overview.Of(f)
	if p := o.PhoneNumbers[0]; p.State != overview.Full || len(o.Attention) != 2 {
		t.Errorf("full and paused in part: %q, %+v", p.State, o.Attention)
	}
	paused(id, ledger.Block)(&f)
	if p := overview.Of(f).PhoneNumbers[0]; p.State != overview.Paused {
		t.Errorf("full and paused: %q", p.State)
	}
	f.Workers = append(f.Workers, fleet.Worker{Lanes: []fleet.Lane{{PhoneNumberID: id, State: fleet.Halted, Reason: "access token expired"}}})
	o = overview.Of(f)
	refused := slices.ContainsFunc(o.Attention, func(n overview.Notice) bool {
		return n.Cause == overview.CauseHalted && strings.Contains(n.Text, "access token expired")
	})
	if p := o.PhoneNumbers[0]; p.State != overview.Paused || !refused {
		t.Errorf("paused, and halted for one of two workers: %q, %+v", p.State, o.Attention)
	}
}

// TestStateAsStatusSays: of two workers one is refused. Where the other's calls are served since, that is told as a worker's
// trouble; where they are not, all calls are halted. Status, job and `limits show` say the same of a block.
func TestStateAsStatusSays(t *testing.T) {
	t.Parallel()
	for served, want := range map[time.Duration]overview.State{time.Second: overview.Running, -time.Second: overview.Halted} {
		f := working()
		stopped := now.Add(-time.Minute)
		lane(fleet.Lane{State: fleet.Running, LastServed: stopped.Add(served)})(&f)
		f.Workers = append(f.Workers, fleet.Worker{Lanes: []fleet.Lane{{PhoneNumberID: id, State: fleet.Halted, Reason: "access token expired", Since: stopped}}})
		o := overview.Of(f)
		if p := o.PhoneNumbers[0]; p.State != want {
			t.Errorf("served %v after the other stopped: %q, want %q", served, p.State, want)
		}
		if !slices.ContainsFunc(o.Attention, func(n overview.Notice) bool { return n.Cause == overview.CauseHalted }) {
			t.Errorf("served %v after the other stopped: the refused worker is not told: %+v", served, o.Attention)
		}
	}
}

// TestExpectedAsStatusSays: the end that the overview expects is the one that status and job tell of the last user in line.
func TestExpectedAsStatusSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := working()
		l := fleet.Lane{
			PhoneNumberID: id, State: fleet.Running, Pace: rapid.Float64Range(0.01, 50).Draw(t, "pace"), UsersPerCall: rapid.IntRange(1, 1000).Draw(t, "users per call"),
			UsersPerSecond: rapid.Float64Range(0, 5000).Draw(t, "flow"),
		}
		if rapid.Bool().Draw(t, "paused") {
			l.Limit, l.LimitedUntil = "paused", now.Add(time.Duration(rapid.IntRange(1, 3600).Draw(t, "pause"))*time.Second)
		}
		f.Workers[0].Lanes = []fleet.Lane{l}
		f.Numbers[0].Limit = ratelimit.Snapshot{Rate: l.Pace, MaxUsers: l.UsersPerCall, PausedUntil: l.LimitedUntil}
		f.Numbers[0].Backlog = ledger.Backlog{Interactive: rapid.IntRange(1, 100).Draw(t, "interactive"), Bulk: rapid.IntRange(0, 100_000).Draw(t, "bulk")}
		p := overview.Of(f).PhoneNumbers[0]
		said := waiting.Facts{PhoneNumberID: id, Now: now, Workers: 1, Lanes: f.Workers[0].Lanes}.OfJob(waiting.Job{Operation: ledger.Block}, ledger.Ahead{Block: p.Waiting.InLine()})
		if !p.ExpectedAt.Equal(said.ExpectedAt) || p.ExpectedAt.IsZero() {
			t.Fatalf("the overview says %v, job %v", p.ExpectedAt, said.ExpectedAt)
		}
	})
}

func TestFiguresOfAnHour(t *testing.T) {
	t.Parallel()
	f := working()
	for range 60 {
		f.Numbers[0].Series.Minutes = append(f.Numbers[0].Series.Minutes, figures.Minute{Counts: figures.Counts{Succeeded: 90, DeadLettered: 5, Calls: 10, Refusals: 1}})
	}
	f.Numbers = append(f.Numbers, overview.NumberFacts{ID: "2"})
	o := overview.Of(f)
	p := o.PhoneNumbers[1]
	if p.ID != id {
		p = o.PhoneNumbers[0]
	}
	if p.Limit.Refused != 0.1 || p.MeanUsersPerCall != 9.5 || p.LastHour.Succeeded != 5400 || len(p.Minutes) != 60 {
		t.Errorf("%+v", p)
	}
}

// TestListsAreBounded: however much there is, an overview stays a screen or two.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	f := overview.Facts{Now: now}
	for i := range 500 {
		f.Numbers = append(f.Numbers, overview.NumberFacts{
			ID: id, Backlog: ledger.Backlog{Bulk: 1}, Dead: []ledger.DeadCode{{Code: i, Users: 1}},
			Jobs: []tasks.JobStatus{{ID: "a", RequestedAt: now.Add(time.Duration(i) * time.Second)}, {ID: "b", State: tasks.JobWaiting, Accepted: 3, Pending: 1}},
		})
		f.Workers = append(f.Workers, fleet.Worker{Lanes: []fleet.Lane{{PhoneNumberID: id, State: fleet.Halted}}})
	}
	o := overview.Of(f)
	if len(o.Attention) > 40 || len(o.Jobs) > 20 || len(o.Workers) > 50 || len(o.DeadLetters.Codes) > 40 || o.DeadLetters.Users != 500 {
		t.Errorf("%d notices, %d jobs, %d workers, %d codes, %d dead", len(o.Attention), len(o.Jobs), len(o.Workers), len(o.DeadLetters.Codes), o.DeadLetters.Users)
	}
	if j := o.Jobs[0]; j.State != tasks.JobWaiting || j.Done != 0.666 {
		t.Errorf("first job: %+v", j)
	}
	if last := o.Attention[len(o.Attention)-1]; !strings.Contains(last.Text, "left out") {
		t.Errorf("%+v", last)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	spans := map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 72 * time.Second: "1m12s", time.Hour: "1h", 90 * time.Minute: "1h30m", 50 * time.Hour: "2d2h", -72 * time.Second: "1m12s"}
	got := map[time.Duration]string{}
	for d := range spans {
		got[d] = overview.Span(d)
	}
	if diff := cmp.Diff(spans, got); diff != "" {
		t.Error(diff)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 64000: "64,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := amounts.Thousands(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

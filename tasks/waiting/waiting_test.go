package waiting_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/waiting"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return now.Add(d) }

func inLine(op ledger.Operation, block, unblock int) waiting.User {
	return waiting.User{Operation: op, Place: ledger.Place{InLine: true, Ahead: ledger.Ahead{Block: block, Unblock: unblock}}}
}

func lane(state fleet.State) fleet.Lane {
	l := fleet.Lane{PhoneNumberID: "1", State: state, Pace: 2, UsersPerCall: 100}
	if state != fleet.Running {
		l.Since, l.NextTrial, l.Reason, l.Help = at(-time.Hour), at(30*time.Second), "the reason", "the help"
	}
	return l
}

func with(l fleet.Lane, change func(*fleet.Lane)) fleet.Lane {
	change(&l)
	return l
}

func TestReasons(t *testing.T) {
	t.Parallel()
	block := inLine(ledger.Block, 1, 0)
	held := pause.Pause{Operation: ledger.Block, Reason: "wrong file", RequestedBy: "anna"}
	for name, c := range map[string]struct {
		lanes  []fleet.Lane
		pauses []pause.Pause
		idle   bool // no worker runs
		silent bool
		user   waiting.User
		cause  waiting.Cause
		says   string // parts, by |
		in     time.Duration
	}{
		"first in line": {lanes: []fleet.Lane{lane(fleet.Running)}, user: block, cause: waiting.InLine, says: "first in line, at 2 calls a second of up to 100 users", in: time.Second},
		"behind others": {
			lanes: []fleet.Lane{lane(fleet.Running)}, user: inLine(ledger.Block, 10_000, 2001), cause: waiting.InLine,
			says: "in line behind up to 12,000 users", in: 60 * time.Second,
		},
		"as fast as users have gone of late": {
			lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.UsersPerSecond = 6 }), with(lane(fleet.Running), func(l *fleet.Lane) { l.UsersPerSecond = 4 })},
			user:  inLine(ledger.Block, 1000, 0), cause: waiting.InLine, in: 100 * time.Second,
		},
		"no lane yet":               {user: block, cause: waiting.InLine, says: "none of the 1 worker has taken up"},
		"a lane that knows no pace": {lanes: []fleet.Lane{{PhoneNumberID: "1", State: fleet.Running}}, user: block, cause: waiting.InLine, says: "first in line"},
		"no worker":                 {idle: true, user: block, cause: waiting.NoWorker, says: "no worker is running|`wablock worker`"},
		"full Redis":                {silent: true, idle: true, user: block, cause: waiting.NoWorker, says: "Redis is full|maxmemory"},
		"halted": {
			lanes: []fleet.Lane{with(lane(fleet.Halted), func(l *fleet.Lane) { l.Code = 190 })}, user: block, cause: waiting.Halted,
			says: "halted since 2026-11-26T11:00:00Z: the API refuses all calls: the reason (code 190). the help. The next trial is at 2026-11-26T12:00:30Z.",
		},
		"halted, and resting": {lanes: []fleet.Lane{lane(fleet.Halted)}, user: waiting.User{Operation: ledger.Block, Attempts: 1, Place: ledger.Place{Due: at(time.Minute)}}, cause: waiting.Halted},
		"halted in one worker, served by another since": {
			lanes: []fleet.Lane{lane(fleet.Halted), with(lane(fleet.Running), func(l *fleet.Lane) { l.LastServed = at(-time.Minute) })}, user: block, cause: waiting.InLine, in: time.Second,
		},
		"halted in one worker, served by another before": {
			lanes: []fleet.Lane{lane(fleet.Halted), with(lane(fleet.Running), func(l *fleet.Lane) { l.LastServed = at(-2 * time.Hour) })}, user: block, cause: waiting.Halted,
		},
		"outage":            {lanes: []fleet.Lane{lane(fleet.Outage)}, user: inLine(ledger.Unblock, 1, 1), cause: waiting.Outage, says: "outage since|fails all calls|the help"},
		"full":              {lanes: []fleet.Lane{lane(fleet.Full)}, user: block, cause: waiting.ListFull, says: "the blocklist is full since|next trial is at 2026-11-26T12:00:30Z|Unblock users"},
		"full, and resting": {lanes: []fleet.Lane{lane(fleet.Full)}, user: waiting.User{Operation: ledger.Block, Place: ledger.Place{Due: at(time.Minute)}}, cause: waiting.ListFull},
		"full, and an unblock": {
			lanes: []fleet.Lane{lane(fleet.Full)}, user: inLine(ledger.Unblock, 5000, 201), cause: waiting.InLine, says: "behind up to 200 users", in: time.Second,
		},
		"paused":                        {lanes: []fleet.Lane{lane(fleet.Halted)}, pauses: []pause.Pause{held}, user: block, cause: waiting.Paused, says: "paused|by anna: wrong file|wablock resume"},
		"paused for a time":             {lanes: []fleet.Lane{lane(fleet.Running)}, pauses: []pause.Pause{{Operation: ledger.Block, Until: at(time.Hour)}}, user: inLine(ledger.Block, 1000, 0), cause: waiting.Paused, in: time.Hour + 4500*time.Millisecond},
		"paused, no worker":             {idle: true, pauses: []pause.Pause{held}, user: block, cause: waiting.Paused, says: "no worker is running"},
		"the other operation is paused": {lanes: []fleet.Lane{lane(fleet.Running)}, pauses: []pause.Pause{held}, user: inLine(ledger.Unblock, 70_000, 1), cause: waiting.InLine, says: "first in line", in: time.Second},
		"retry": {
			lanes: []fleet.Lane{lane(fleet.Running)}, user: waiting.User{Operation: ledger.Block, Attempts: 3, Code: 131000, Place: ledger.Place{Due: at(time.Minute)}},
			cause: waiting.Retry, says: "attempt 3 failed (code 131000)|at 2026-11-26T12:01:00Z", in: time.Minute,
		},
		"put back":   {lanes: []fleet.Lane{lane(fleet.Running)}, user: waiting.User{Operation: ledger.Block, Place: ledger.Place{Due: at(time.Minute)}}, cause: waiting.Retry, says: "put back", in: time.Minute},
		"due by now": {lanes: []fleet.Lane{lane(fleet.Running)}, user: waiting.User{Operation: ledger.Block, Attempts: 1, Place: ledger.Place{Due: at(-time.Second)}}, cause: waiting.InLine, in: time.Second},
		"in a call":  {lanes: []fleet.Lane{lane(fleet.Running)}, user: waiting.User{Operation: ledger.Block, Busy: true, Place: ledger.Place{Due: at(35 * time.Second)}}, cause: waiting.InLine, says: "earlier request", in: 35 * time.Second},
		"API's limit": {
			lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Limit, l.LimitedUntil = "paused", at(20*time.Second) })},
			user:  block, cause: waiting.RateLimit, says: "the API has refused calls|2026-11-26T12:00:20Z", in: 20 * time.Second,
		},
		"API's limit, and put back for it": {
			lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Limit, l.LimitedUntil = "paused", at(20*time.Second) })},
			user:  waiting.User{Operation: ledger.Block, Place: ledger.Place{Due: at(time.Minute)}}, cause: waiting.RateLimit, in: 20 * time.Second,
		},
		"probing":          {lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Limit, l.LimitedUntil = "probing", now })}, user: block, cause: waiting.RateLimit, says: "one call at a time", in: time.Second},
		"a limit long ago": {lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Limit, l.LimitedUntil = "paused", at(-time.Minute) })}, user: block, cause: waiting.InLine, in: time.Second},
		"pinned": {
			lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Pace, l.Pinned = 0.01, 0.01 })}, user: inLine(ledger.Block, 201, 0),
			cause: waiting.RateLimit, says: "pinned the rate at 0.01 calls a second|wablock limits release|behind up to 200 users", in: 200 * time.Second,
		},
		"capped":          {lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Capped = 2 })}, user: block, cause: waiting.RateLimit, says: "capped", in: time.Second},
		"capped above it": {lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Capped = 5 })}, user: block, cause: waiting.InLine, in: time.Second},
		"low rate": {
			lanes: []fleet.Lane{with(lane(fleet.Running), func(l *fleet.Lane) { l.Pace, l.Limit, l.LimitedUntil = 0.05, "pace", at(15*time.Second) })},
			user:  block, cause: waiting.RateLimit, says: "the next call goes at 2026-11-26T12:00:15Z|at 0.05 calls a second", in: 15 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := waiting.Facts{PhoneNumberID: "1", Now: now, Pauses: c.pauses, Lanes: c.lanes, Workers: 1, Silent: c.silent}
			if c.idle {
				f.Workers = 0
			}
			r := f.Of(c.user)
			if r.For != c.cause {
				t.Errorf("%q, want %q: %s", r.For, c.cause, r.Text)
			}
			for part := range strings.SplitSeq(c.says, "|") {
				if !strings.Contains(r.Text, part) {
					t.Errorf("%q has no %q", r.Text, part)
				}
			}
			want := time.Time{}
			if c.in > 0 {
				want = at(c.in)
			}
			if d := r.ExpectedAt.Sub(want).Abs(); d > time.Second {
				t.Errorf("expected at %v, want %v", r.ExpectedAt, want)
			}
		})
	}
}

func TestALowCeilingIsNamed(t *testing.T) {
	t.Parallel()
	l := with(lane(fleet.Running), func(l *fleet.Lane) { l.Pace, l.Limit, l.LimitedUntil = 0.05, "pace", at(15*time.Second) })
	f := waiting.Facts{PhoneNumberID: "1", Now: now, Lanes: []fleet.Lane{l}, Workers: 1, Ceiling: fleet.Ceiling{Rate: 0.05}}
	if r := f.Of(inLine(ledger.Block, 1, 0)); r.For != waiting.RateLimit || !strings.Contains(r.Text, "WABLOCK_RATE allows 0.05 calls a second") {
		t.Errorf("%+v", r)
	}
}

func TestJobReasons(t *testing.T) {
	t.Parallel()
	f := waiting.Facts{PhoneNumberID: "1", Now: now, Lanes: []fleet.Lane{lane(fleet.Running)}, Workers: 1}
	job := waiting.Job{Operation: ledger.Block, Users: 1000}
	planned := job
	planned.Due = at(time.Hour)
	for name, c := range map[string]struct {
		job   waiting.Job
		ahead int
		want  string
	}{
		"in line":   {job, 1000, "in_line|in line behind up to 999 users, at 2 calls a second of up to 100 users|12:00:04"},
		"in a call": {job, 0, "in_line|in a call, or waiting for the next attempt|00:00:00"},
		"planned":   {planned, 0, "|planned for 2026-11-26T13:00:00Z|13:00:04"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := f.OfJob(c.job, ledger.Ahead{Block: c.ahead})
			if got := fmt.Sprintf("%s|%s|%s", r.For, r.Text, r.ExpectedAt.Format(time.TimeOnly)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestAnyFacts: whatever is known, a user waits for something, and not for the past.
func TestAnyFacts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		some := func(name string) time.Time {
			return rapid.SampledFrom([]time.Time{{}, at(-time.Hour), now, at(time.Second), at(time.Hour)}).Draw(t, name)
		}
		f := waiting.Facts{PhoneNumberID: "1", Now: now, Workers: rapid.IntRange(0, 2).Draw(t, "workers")}
		for range rapid.IntRange(0, 3).Draw(t, "lanes") {
			f.Lanes = append(f.Lanes, fleet.Lane{
				PhoneNumberID: "1", State: rapid.SampledFrom([]fleet.State{fleet.Running, fleet.Halted, fleet.Outage, fleet.Full, "new"}).Draw(t, "state"),
				Since: some("since"), NextTrial: some("trial"), LastServed: some("served"), LimitedUntil: some("until"),
				Limit: rapid.SampledFrom([]string{"", "paused", "probing", "pace"}).Draw(t, "limit"),
				Pace:  rapid.SampledFrom([]float64{0, 1e-9, 0.01, 20, 1e9}).Draw(t, "pace"), Pinned: rapid.SampledFrom([]float64{0, 1}).Draw(t, "pinned"),
				UsersPerCall: rapid.IntRange(0, 1000).Draw(t, "users"), UsersPerSecond: rapid.SampledFrom([]float64{0, 1e-12, 100}).Draw(t, "flow"),
			})
		}
		u := waiting.User{
			Operation: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "operation"),
			Attempts:  rapid.IntRange(0, 3).Draw(t, "attempts"), Busy: rapid.Bool().Draw(t, "busy"),
			Place: ledger.Place{InLine: rapid.Bool().Draw(t, "in line"), Due: some("due"), Ahead: ledger.Ahead{Block: rapid.IntRange(0, 1e9).Draw(t, "blocks")}},
		}
		r := f.Of(u)
		if r.For == "" || r.Text == "" {
			t.Fatalf("%+v", r)
		}
		if !r.ExpectedAt.IsZero() && r.ExpectedAt.Before(now) {
			t.Fatalf("expected in the past: %+v", r)
		}
	})
}

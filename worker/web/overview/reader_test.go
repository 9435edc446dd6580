package overview_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/web/overview"
)

// plant fills a Redis with a working and a halted phone number ID, a pause, a job, a dead letter and figures.
func plant(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: id})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Block(t.Context(), []string{"+16505551234", "+16505551235"}, tasks.WithJobID("spam-42"), tasks.WithRequester("ana@trust"), tasks.WithReason("seen by +16505559999"))
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(rdb, id)
	c, err := l.Claim(t.Context(), ledger.ClaimOptions{ID: "c1", Max: 1, Timeout: time.Minute})
	if err != nil || len(c.Users) != 1 {
		t.Fatal(c, err)
	}
	_, err = l.Settle(t.Context(), "c1", []ledger.Settlement{{User: c.Users[0].User, Version: c.Users[0].Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}}})
	if err != nil {
		t.Fatal(err)
	}
	rec := figures.NewRecorder(rdb)
	rec.Add(id, figures.Counts{Calls: 1, DeadLettered: 1})
	if err := rec.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := fleet.NewMember(rdb, fleet.Worker{Machine: "pod-a", PID: 7, GraphHost: "graph.example.com"}, slog.New(slog.DiscardHandler))
	m.Show(func() []fleet.Lane {
		return []fleet.Lane{{PhoneNumberID: id, State: fleet.Running}, {PhoneNumberID: "933", State: fleet.Halted, Code: 190, Reason: "access token expired"}}
	})
	if err := m.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := pause.Set(t.Context(), rdb, pause.Request{PhoneNumberID: "944", Reason: "wrong file", RequestedBy: "ben"}); err != nil {
		t.Fatal(err)
	}
	if err := audit.Record(t.Context(), rdb, audit.Event{Action: audit.Pause, By: "ben", PhoneNumberID: "944"}); err != nil {
		t.Fatal(err)
	}
}

func limit(context.Context, []fleet.Worker, string) (ratelimit.Snapshot, error) {
	return ratelimit.Snapshot{Rate: 5, Ceiling: 20, MaxUsers: 1000}, nil
}

// TestReader: what stands in Redis comes out, and no number in full with it.
func TestReader(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		plant(t, rdb)
		r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id, "944"}, Limit: limit, Version: "v1"})
		o := r.Now(t.Context())
		states := map[string]overview.State{}
		for _, p := range o.PhoneNumbers {
			states[p.ID] = p.State
			if len(p.Minutes) != 60 {
				t.Errorf("%s has %d minutes", p.ID, len(p.Minutes))
			}
		}
		if states[id] != overview.Running || states["933"] != overview.Halted || states["944"] != overview.Paused || len(states) != 3 {
			t.Errorf("states %v", states)
		}
		if d := o.DeadLetters; d.Users != 1 || len(d.Codes) != 1 || d.Codes[0].Code != 131047 || d.Codes[0].Name != "re-engagement required" || d.LastHour != 1 {
			t.Errorf("dead letters %+v", d)
		}
		if len(o.Jobs) != 1 || o.Jobs[0].ID != "spam-42" || o.Jobs[0].RequestedBy != "ana@trust" || o.Jobs[0].Done != 0.5 {
			t.Errorf("jobs %+v", o.Jobs)
		}
		if len(o.Workers) != 1 || o.Workers[0].Where != "process 7 on pod-a" || o.Workers[0].PhoneNumbers != 2 {
			t.Errorf("workers %+v", o.Workers)
		}
		if len(o.Events) != 1 || o.Events[0].By != "ben" {
			t.Errorf("events %+v", o.Events)
		}
		var causes []overview.Cause
		for _, n := range o.Attention {
			causes = append(causes, n.Cause)
		}
		for _, want := range []overview.Cause{overview.CauseHalted, overview.CausePaused, overview.CauseDeadLetters} {
			if !slices.Contains(causes, want) {
				t.Errorf("attention %v lacks %s", causes, want)
			}
		}
		text, err := json.Marshal(o)
		if err != nil || strings.Contains(string(text), "1650555") {
			t.Errorf("%v: %s", err, text)
		}
	})
}

// TestReaderShares: those who ask at the same time share one reading, one that hangs up cancels it for no other, and a
// change can be seen at once.
func TestReaderShares(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	plant(t, rdb)
	var commands atomic.Int64
	rdb.AddHook(&redistest.Hook{Before: func(redis.Cmder) { commands.Add(1) }})
	r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id}, Limit: limit})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	first := r.Now(canceled)
	once := commands.Load()
	if len(first.PhoneNumbers) != 2 || once == 0 {
		t.Fatalf("%+v after %d commands", first, once)
	}
	for range 100 {
		r.Now(t.Context())
	}
	if n := commands.Load(); n != once {
		t.Errorf("%d commands for the first, %d for a hundred more", once, n-once)
	}
	r.Refresh()
	r.Now(t.Context())
	if n := commands.Load(); n == once {
		t.Error("nothing was read anew")
	}
}

// TestReaderWithoutRedis: that Redis does not answer stands first, over what was known last.
func TestReaderWithoutRedis(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	plant(t, rdb)
	r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id}, Limit: limit})
	none := overview.NewReader(overview.Config{Redis: rdb})
	before := r.Now(t.Context())
	m.SetError("LOADING")
	r.Refresh()
	for name, o := range map[string]overview.Overview{"known before": r.Now(t.Context()), "again": r.Now(t.Context()), "never": none.Now(t.Context())} {
		if len(o.Attention) == 0 || o.Attention[0].Cause != overview.CauseRedis || !strings.Contains(o.Attention[0].Next, "WABLOCK_REDIS_URL") {
			t.Errorf("%s: %+v", name, o.Attention)
		}
		if name != "never" && len(o.PhoneNumbers) != len(before.PhoneNumbers) {
			t.Errorf("%d phone numbers are left of %d", len(o.PhoneNumbers), len(before.PhoneNumbers))
		}
	}
	m.SetError("")
	r.Refresh()
	if o := r.Now(t.Context()); o.Attention[0].Cause == overview.CauseRedis {
		t.Errorf("Redis is back: %+v", o.Attention)
	}
}

// TestReaderKeepsWhatHolds: who set a rate is known however long ago it was, what the last listing found holds while later runs
// fail, and planned users are counted.
func TestReaderKeepsWhatHolds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		pinned := func(context.Context, []fleet.Worker, string) (ratelimit.Snapshot, error) {
			return ratelimit.Snapshot{Rate: 2, Pinned: 2, Capped: 3}, nil
		}
		events := []audit.Event{{Action: audit.Pin, By: "old"}, {Action: audit.Pin, By: "ana"}, {Action: audit.Cap, By: "ben"}, {Action: audit.Pin, By: "other", PhoneNumberID: "944"}}
		for _, e := range events {
			if e.PhoneNumberID == "" {
				e.PhoneNumberID = id
			}
			if err := audit.Record(t.Context(), rdb, e); err != nil {
				t.Fatal(err)
			}
		}
		runs := []any{`{"ended_at":"2026-11-26T01:00:00Z","actual":62000,"hash":"h1"}`, `{"ended_at":"2026-11-26T02:00:00Z","error":"no answer"}`}
		if err := rdb.LPush(t.Context(), "wablock:{"+id+"}:reconcile:runs", runs...).Err(); err != nil {
			t.Fatal(err)
		}
		p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Block(t.Context(), []string{"+16505551234", "+16505551235"}, tasks.WithDelay(time.Hour)); err != nil {
			t.Fatal(err)
		}
		r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id}, Limit: pinned})
		for range 2 {
			n := r.Now(t.Context()).PhoneNumbers[0]
			if n.Limit.PinnedBy != "ana" || n.Limit.CappedBy != "ben" || n.Limit.PinnedAt.IsZero() || n.Planned != 2 {
				t.Errorf("limit %+v, planned %d", n.Limit, n.Planned)
			}
			if n.Blocklist == nil || n.Blocklist.Users != 62_000 || n.Reconciliation == nil || n.Reconciliation.Good {
				t.Errorf("blocklist %+v, reconciliation %+v", n.Blocklist, n.Reconciliation)
			}
			r.Expire()
		}
	})
}

// TestReaderTakesTurns: the jobs of many phone number IDs are read in turn, and all are shown all the same.
func TestReaderTakesTurns(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	ids := fill(t, rdb, 50, 10, 1, 0)
	var lists atomic.Int64
	rdb.AddHook(&redistest.Hook{Before: func(c redis.Cmder) {
		if c.Name() == "zrevrange" {
			lists.Add(1)
		}
	}})
	r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: ids})
	if n := len(r.Now(t.Context()).Jobs); n != 20 || lists.Load() != 50 {
		t.Errorf("%d jobs of %d lists", n, lists.Load())
	}
	for range 3 {
		r.Expire()
		if n := len(r.Now(t.Context()).Jobs); n != 20 {
			t.Errorf("%d jobs", n)
		}
	}
	if n := lists.Load(); n != 100 {
		t.Errorf("%d lists were read in four readings, want each twice", n)
	}
}

// TestReaderIsBounded: however many phone number IDs there are, those that need attention are among the ones that are read.
func TestReaderIsBounded(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	plant(t, rdb)
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprint(5000+i))
	}
	o := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: ids}).Now(t.Context())
	if len(o.PhoneNumbers) != 300 || o.MorePhoneNumbers != 702 || o.PhoneNumbers[0].State == overview.Idle {
		t.Errorf("%d and %d more, first %+v", len(o.PhoneNumbers), o.MorePhoneNumbers, o.PhoneNumbers[0])
	}
}

// TestCostOfReading counts the commands of a reading of a hundred phone number IDs of 200 waiting users each, and logs the
// time that they cost Redis: the aim is 2 ms for each second that the answer is used.
func TestCostOfReading(t *testing.T) {
	t.Parallel()
	rdb := redistest.Real(t)
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprint(5000 + i)
		l := ledger.New(rdb, ids[i])
		requests := make([]ledger.Request, 200)
		v, err := l.NextVersion(t.Context())
		for k := range requests {
			u, uerr := user.FromCanonical(fmt.Sprintf("+1650555%04d", k))
			err = errors.Join(err, uerr)
			requests[k] = ledger.Request{User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: v}
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Mark(t.Context(), requests); err != nil {
			t.Fatal(err)
		}
	}
	r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: ids, Limit: limit})
	r.Now(t.Context())
	used := func() (commands, us float64) {
		text := rdb.Info(t.Context(), "commandstats").Val()
		for line := range strings.Lines(text) {
			var calls, usec float64
			if _, rest, ok := strings.Cut(line, ":calls="); ok {
				_, _ = fmt.Sscanf(rest, "%f,usec=%f", &calls, &usec)
			}
			commands, us = commands+calls, us+usec
		}
		return commands, us
	}
	const readings = 10
	commandsBefore, usBefore := used()
	for range readings {
		r.Expire()
		r.Now(t.Context())
	}
	commands, us := used()
	commands, us = (commands-commandsBefore)/readings, (us-usBefore)/readings
	t.Logf("a reading of 100 phone number IDs costs Redis %.0f commands and %.0f µs, and is used for 6 s", commands, us)
	if most := 30.0 * float64(len(ids)); commands > most { // those within scripts included
		t.Errorf("%.0f commands, want up to %.0f", commands, most)
	}
}

// TestReaderSeesAFullRedis: that Redis takes no more writes stands first.
func TestReaderSeesAFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr}) // of its own: others would not write either
	t.Cleanup(func() { _ = rdb.Close() })
	plant(t, rdb)
	r := overview.NewReader(overview.Config{Redis: rdb, PhoneNumberIDs: []string{id}})
	for _, n := range r.Now(t.Context()).Attention {
		if n.Cause == overview.CauseRedisFull {
			t.Errorf("a Redis without a bound is full: %s", n.Text)
		}
	}
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	r.Refresh()
	if n := r.Now(t.Context()).Attention[0]; n.Cause != overview.CauseRedisFull || !strings.Contains(n.Text, "of 1 MB") {
		t.Errorf("%+v", n)
	}
}

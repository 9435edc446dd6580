package history_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/ledger"
)

var (
	start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	alice = history.User{PhoneNumberID: "1", Number: "+16505550001"}
)

func at(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }

func request(op ledger.Operation, second int, accepted bool) history.Request {
	r := history.Request{JobID: "j", Operation: op, Began: at(second), Accepted: accepted}
	if accepted {
		r.Version, r.AcceptedAt = ledger.Version(second), at(second)
	}
	return r
}

func call(seq int64, op simulator.Operation, begin, end int, outcome simulator.Outcome) simulator.Call {
	return simulator.Call{
		Seq: seq, Operation: op, PhoneNumberID: "1", Begin: at(begin), End: at(end), Begun: int64(begin), Ended: int64(end),
		Users: []simulator.CallUser{{User: alice.Number, Outcome: outcome}},
	}
}

// good is a history of one user that is as it should be: block, unblock, both carried out.
func good() history.Run {
	return history.Run{
		Requests: map[history.User][]history.Request{alice: {request(ledger.Block, 1, true), request(ledger.Unblock, 5, true)}},
		Calls: []simulator.Call{
			call(1, simulator.Block, 2, 3, simulator.OutcomeSucceeded),
			call(2, simulator.Unblock, 6, 7, simulator.OutcomeSucceeded),
		},
		Lists:   map[string][]string{},
		Entries: map[history.User]ledger.Entry{alice: {State: ledger.Succeeded, Operation: ledger.Unblock, Version: 5}},
		Grace:   time.Second,
	}
}

func onList(r *history.Run) { r.Lists["1"] = []string{alice.Number[1:]} }

func entry(r *history.Run, change func(*ledger.Entry)) {
	e := r.Entries[alice]
	change(&e)
	r.Entries[alice] = e
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*history.Run)
		want   string // in the one problem, "" for none
		stop   bool   // the same with a worker that stood still is explained
	}{
		"good": {change: func(*history.Run) {}},
		"a repeated call does no harm": {change: func(r *history.Run) {
			r.Calls = append(r.Calls, call(3, simulator.Unblock, 8, 9, simulator.OutcomeSucceeded))
		}},
		"block and unblock collapse": {change: func(r *history.Run) { r.Calls = r.Calls[1:] }},
		"an ambiguous request that was taken": {change: func(r *history.Run) {
			r.Requests[alice] = append(r.Requests[alice], request(ledger.Block, 8, false))
			r.Calls = append(r.Calls, call(3, simulator.Block, 9, 10, simulator.OutcomeSucceeded))
			entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 8 })
			onList(r)
		}},
		"an ambiguous request that was not": {change: func(r *history.Run) {
			r.Requests[alice] = append(r.Requests[alice], request(ledger.Block, 8, false))
		}},
		"accepted and forgotten": {
			change: func(r *history.Run) { delete(r.Entries, alice) },
			want:   "no trace",
		},
		"no end": {
			change: func(r *history.Run) { entry(r, func(e *ledger.Entry) { e.State = ledger.Waiting }) },
			want:   "has no end",
		},
		"an older request has the last word": {
			change: func(r *history.Run) {
				r.Calls = r.Calls[:1]
				onList(r)
				entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 1 })
			},
			want: "the last accepted request was unblock",
		},
		"a version never requested": {
			change: func(r *history.Run) { entry(r, func(e *ledger.Entry) { e.Version = 9 }) },
			want:   "never requested since",
		},
		"carried out the wrong way round": {
			change: func(r *history.Run) {
				r.Calls = []simulator.Call{
					call(1, simulator.Unblock, 6, 7, simulator.OutcomeSucceeded),
					call(2, simulator.Block, 8, 9, simulator.OutcomeSucceeded),
					call(3, simulator.Unblock, 10, 11, simulator.OutcomeSucceeded),
				}
			},
			want: "superseded", stop: true,
		},
		"success by the ledger alone": {
			change: func(r *history.Run) {
				r.Calls[1].Users[0].Outcome = ""
				onList(r)
			},
			want: "the ledger says that unblock succeeded", stop: true,
		},
		"the list is not what the calls did": {
			change: onList,
			want:   "on the list: true; by the journal: false",
		},
		"two calls of different operations at once": {
			change: func(r *history.Run) { r.Calls[0].End, r.Calls[0].Ended = at(7), 7 },
			want:   "two calls of different operations at once", stop: true,
		},
		"a call repeated beside one of its kind": {change: func(r *history.Run) {
			r.Calls = append(r.Calls, call(3, simulator.Unblock, 8, 9, simulator.OutcomeSucceeded))
			last := &r.Calls[1]
			last.End, last.Ended = at(10), 10
		}},
		"dead without a dead letter": {
			change: func(r *history.Run) {
				r.Doomed = map[history.User]bool{alice: true}
				r.Requests[alice] = r.Requests[alice][:1]
				r.Calls = r.Calls[:1]
				r.Calls[0].Users[0].Outcome = simulator.OutcomeFailed
				entry(r, func(e *ledger.Entry) { e.Operation, e.Version, e.State = ledger.Block, 1, ledger.Dead })
			},
			want: "in the dead-letter queue: false",
		},
		"a dead letter too many": {
			change: func(r *history.Run) { r.Dead = []history.User{alice} },
			want:   "dead by the ledger: false",
		},
		"dead without a reason": {
			change: func(r *history.Run) {
				r.Dead = []history.User{alice}
				r.Calls[1].Users[0].Outcome = simulator.OutcomeFailed
				onList(r)
				entry(r, func(e *ledger.Entry) { e.State = ledger.Dead })
			},
			want: "dead: true, though unblock",
		},
		"a call for a stranger": {
			change: func(r *history.Run) {
				c := call(3, simulator.Block, 8, 9, simulator.OutcomeFailed)
				c.Users[0].User = "+16505559999"
				r.Calls = append(r.Calls, c)
			},
			want: "never requested",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good()
			c.change(&r)
			expect(t, history.Check(r).Problems, c.want)
			if c.stop {
				r.Stops = []history.Stop{{From: at(0), To: at(12)}}
				report := history.Check(r)
				expect(t, report.Problems, "")
				expect(t, report.Explained, c.want)
			}
		})
	}
}

func expect(t *testing.T, problems []history.Problem, want string) {
	t.Helper()
	switch {
	case want == "" && len(problems) > 0:
		t.Errorf("problems: %v", problems)
	case want != "" && (len(problems) == 0 || !strings.Contains(problems[0].String(), want)):
		t.Errorf("problems: %v, want %q", problems, want)
	}
}

func TestDoubledDeadLetter(t *testing.T) {
	t.Parallel()
	r := good()
	r.Doomed = map[history.User]bool{alice: true}
	r.Requests[alice] = r.Requests[alice][:1]
	r.Calls = r.Calls[:1]
	r.Calls[0].Users[0].Outcome = simulator.OutcomeFailed
	entry(&r, func(e *ledger.Entry) { e.Operation, e.Version, e.State = ledger.Block, 1, ledger.Dead })
	r.Dead = []history.User{alice}
	expect(t, history.Check(r).Problems, "")
	r.Dead = append(r.Dead, alice)
	expect(t, history.Check(r).Problems, "2 times")
}

// TestLosses: Redis has lost some seconds. What was answered before them is held to all the same.
func TestLosses(t *testing.T) {
	t.Parallel()
	fromTo := func(from, to int) history.Losses { return history.Losses{{From: at(from), To: at(to)}} }
	restored := func(r *history.Run) {
		onList(r)
		r.Calls[1] = call(2, simulator.Block, 9, 10, simulator.OutcomeSucceeded)
		entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 1 })
	}
	cases := map[string]struct {
		change func(*history.Run)
		losses history.Losses
		want   string
		lost   int
	}{
		"the last request is lost": {change: restored, losses: fromTo(4, 6), lost: 1},
		"it was answered before":   {change: restored, losses: fromTo(6, 8), want: "the last accepted request was unblock"},
		"it was asked for after":   {change: restored, losses: fromTo(2, 4), want: "the last accepted request was unblock"},
		"the call of the lost one had gone out": {
			change: func(r *history.Run) {
				restored(r)
				r.Calls = append(r.Calls, call(3, simulator.Unblock, 6, 7, simulator.OutcomeSucceeded))
			},
			losses: fromTo(4, 8), lost: 1,
		},
		"a call goes back further than to what was lost": {
			change: func(r *history.Run) {
				r.Requests[alice] = append(r.Requests[alice], request(ledger.Unblock, 20, true))
				r.Calls = append(r.Calls, call(3, simulator.Block, 40, 41, simulator.OutcomeSucceeded),
					call(4, simulator.Unblock, 42, 43, simulator.OutcomeSucceeded))
				entry(r, func(e *ledger.Entry) { e.Version = 20 })
			},
			losses: fromTo(19, 22), want: "superseded",
		},
		"the call of the lost one left the user out": {
			change: func(r *history.Run) {
				r.Requests[alice] = append(r.Requests[alice], request(ledger.Block, 9, true))
				r.Calls = append(r.Calls, call(3, simulator.Block, 10, 11, simulator.OutcomeOmitted))
				onList(r)
			},
			losses: fromTo(8, 12), lost: 1,
		},
		"nothing is left": {change: func(r *history.Run) { delete(r.Entries, alice) }, losses: fromTo(4, 8), want: "no trace", lost: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := good()
			c.change(&r)
			r.Losses = c.losses
			report := history.Check(r)
			expect(t, report.Problems, c.want)
			if report.Lost != c.lost {
				t.Errorf("%d requests are lost, want %d", report.Lost, c.lost)
			}
		})
	}
}

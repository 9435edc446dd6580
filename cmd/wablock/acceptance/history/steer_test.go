package history_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/ledger"
)

// withdrawn cancels the second request of good: at second 6, answered at 7.
func withdrawn(r *history.Run) {
	r.Requests[alice][1].Steered, r.Requests[alice][1].Withdrawn = at(6), at(7)
	r.Calls = r.Calls[:1]
	entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 1 })
	onList(r)
}

// timed makes the only request a block that ends at second 5.
func timed(r *history.Run) {
	r.Requests[alice] = r.Requests[alice][:1]
	r.Requests[alice][0].Ends = at(5)
	entry(r, func(e *ledger.Entry) { e.Version = 2 })
}

func job(version ledger.Version, c ledger.Counts) history.Job {
	c.Known = true
	return history.Job{
		PhoneNumberID: "1", Users: []history.User{alice}, Told: -1,
		JobRecord: ledger.JobRecord{ID: "j", Accepted: 1, Version: version, Counts: c},
	}
}

func TestSteered(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*history.Run)
		want   string // in the one problem, "" for none
		stop   bool   // the same with a worker that stood still is explained, or no problem
	}{
		"what was before comes back": {change: withdrawn},
		"what was before comes back, with a call to make sure": {change: func(r *history.Run) {
			withdrawn(r)
			r.Calls = append(r.Calls, call(2, simulator.Unblock, 5, 6, simulator.OutcomeFailed), call(3, simulator.Block, 8, 9, simulator.OutcomeSucceeded))
		}},
		"a timed block comes back, with a call to make sure": {change: func(r *history.Run) {
			withdrawn(r)
			r.Requests[alice][0].Ends = at(20)
			r.Calls = append(r.Calls, call(2, simulator.Unblock, 5, 6, simulator.OutcomeFailed), call(3, simulator.Block, 8, 9, simulator.OutcomeSucceeded),
				call(4, simulator.Unblock, 21, 22, simulator.OutcomeSucceeded))
			r.Lists = nil
			entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Unblock, 2 })
		}},
		"the cancel found the request gone out": {change: func(r *history.Run) { r.Requests[alice][1].Steered = at(6) }},
		"an older state comes back": {
			change: func(r *history.Run) {
				withdrawn(r)
				r.Requests[alice] = append([]history.Request{request(ledger.Block, 0, true)}, r.Requests[alice]...)
				entry(r, func(e *ledger.Entry) { e.Version = 0 })
			},
			want: "the last accepted request was block",
		},
		"nothing comes back": {
			change: func(r *history.Run) { withdrawn(r); delete(r.Entries, alice) },
			want:   "no trace",
		},
		"a withdrawn request goes out": {
			change: func(r *history.Run) {
				withdrawn(r)
				r.Calls = append(r.Calls, call(2, simulator.Unblock, 12, 13, simulator.OutcomeFailed))
			},
			want: "superseded", stop: true,
		},
		"the only request was withdrawn, and is on the list": {
			change: func(r *history.Run) {
				r.Requests[alice] = r.Requests[alice][:1]
				r.Requests[alice][0].Steered = at(2)
				r.Calls = r.Calls[:1]
				delete(r.Entries, alice)
				onList(r)
			},
			want: "was withdrawn, and is on the list", stop: true,
		},
		"undone": {change: func(r *history.Run) {
			r.Requests[alice] = []history.Request{request(ledger.Block, 1, true), request(ledger.Unblock, 3, true)}
			r.Requests[alice][0].Steered = at(5)
			entry(r, func(e *ledger.Entry) { e.Version = 3 })
		}},
		"a timed block ends": {change: timed},
		"a timed block never ends": {
			change: func(r *history.Run) {
				timed(r)
				entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 1 })
				r.Calls = r.Calls[:1]
				onList(r)
			},
			want: "the last accepted request was unblock at 2",
		},
		"a timed block ends too soon": {
			change: func(r *history.Run) { timed(r); r.Requests[alice][0].Ends = at(9) },
			want:   "superseded", stop: true,
		},
		"a newer request drops the end": {change: func(r *history.Run) {
			timed(r)
			r.Requests[alice] = append(r.Requests[alice], request(ledger.Block, 4, true))
			r.Calls = r.Calls[:1]
			entry(r, func(e *ledger.Entry) { e.Operation, e.Version = ledger.Block, 4 })
			onList(r)
		}},
		"the end of a displaced block": {
			change: func(r *history.Run) {
				timed(r)
				r.Requests[alice] = append(r.Requests[alice], request(ledger.Block, 4, true))
			},
			want: "the last accepted request was block at 4",
		},
		"a call in a pause": {
			change: func(r *history.Run) { r.Pauses = []history.Pause{{PhoneNumberID: "1", From: at(4), To: at(9)}} },
			want:   "2s after its unblock was paused", stop: true,
		},
		"a call of the other operation in a pause": {change: func(r *history.Run) {
			r.Pauses = []history.Pause{{Operation: ledger.Block, From: at(4), To: at(9)}}
		}},
		"a call to block a protected user": {
			change: func(r *history.Run) { r.Protections = []history.Protection{{User: alice, From: at(0)}} },
			want:   "was in call 1 to block", stop: true,
		},
		"a block of a protected user lives": {
			change: func(r *history.Run) {
				withdrawn(r)
				r.Calls[0].Begin, r.Calls[0].End = at(-1), at(0)
				r.Requests[alice][0].Began = at(-1)
				r.Protections = []history.Protection{{User: alice, From: at(-2)}}
				r.Grace = 3 * time.Second
			},
			want: "is protected",
		},
		"counts that are right": {change: func(r *history.Run) {
			r.Jobs = []history.Job{job(1, ledger.Counts{Superseded: 1}), job(5, ledger.Counts{Succeeded: 1})}
		}},
		"a user counted twice": {
			change: func(r *history.Run) { r.Jobs = []history.Job{job(5, ledger.Counts{Succeeded: 1, Canceled: 1})} },
			want:   "more users ended",
		},
		"a user not counted": {
			change: func(r *history.Run) { r.Jobs = []history.Job{job(5, ledger.Counts{})} },
			want:   "1 users of 1 are pending",
		},
		"a user counted wrong": {
			change: func(r *history.Run) { r.Jobs = []history.Job{job(5, ledger.Counts{Dead: 1})} },
			want:   "its users have 1 succeeded",
		},
		"a withdrawn user counted wrong": {
			change: func(r *history.Run) { withdrawn(r); r.Jobs = []history.Job{job(5, ledger.Counts{Succeeded: 1})} },
			want:   "1 withdrawn",
		},
		"fewer withdrawn than was told": {
			change: func(r *history.Run) {
				j := job(5, ledger.Counts{Succeeded: 1})
				j.Told = 1
				r.Jobs = []history.Job{j}
			},
			want: "1 were withdrawn, by the answer",
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
				expect(t, history.Check(r).Problems, "")
			}
		})
	}
}

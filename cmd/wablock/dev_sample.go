package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/metrics"
)

// sampleSize is the number of ordinary users that the built-in sample blocks.
const sampleSize = 3000

// devUsersPerCall is the number of users that dev's worker puts in a call.
const devUsersPerCall = 100

// sample holds the steps that dev carries out, one after the other.
type sample struct {
	steps    []sampleStep
	rejected int // lines of the user's file
}

type sampleStep struct {
	what  string
	op    ledger.Operation
	users []user.ID
}

// fate is the end that a number must have: as requested, or dead-lettered with a code.
type fate struct {
	dead bool
	code int
}

// mustFail are the simulator's numbers with a meaning that end in the dead-letter queue, with
// the code that they end with.
var mustFail = map[string]fate{
	"+15550131047": {true, 131047}, // has not written
	"+15550000404": {true, 131047}, // not on WhatsApp
	"+15550131021": {true, 131021}, // own number
	"+15550139103": {true, 139103}, // fails until its attempts are used up
	"+15550000100": {true, 100},    // sinks the whole call
	"+15550131009": {true, 131009}, // sinks the whole call
	"+15550000000": {true, 0},      // in neither list of any answer
	fullList:       {true, 139101}, // as on a full list
}

// fullList stops all blocks until an unblock makes room, so it has a step of its own.
const fullList = "+15550139101"

// builtIn returns the sample that runs without a file.
func builtIn() sample {
	block := sampleStep{what: "blocking the sample", op: ledger.Block}
	for i := range sampleSize {
		block.users = append(block.users, mustUser(fmt.Sprintf("+1650555%04d", i)))
	}
	for _, n := range simulator.TestNumbers() {
		if n.Number != fullList {
			block.users = append(block.users, mustUser(n.Number))
		}
	}
	return sample{steps: []sampleStep{
		block,
		{what: "blocking once the list is full", op: ledger.Block, users: []user.ID{mustUser(fullList)}},
		{what: "unblocking, which makes room", op: ledger.Unblock, users: block.users[:50]},
	}}
}

// mustUser returns a user of this file or of the simulator's test numbers.
func mustUser(number string) user.ID {
	id, err := user.FromCanonical(number)
	if err != nil {
		panic(err) // a constant is wrong
	}
	return id
}

// ownSample blocks the user's own numbers.
func ownSample(ctx context.Context, c *cli, n numberFlags, country user.Country) (sample, error) {
	in, err := readInputs(ctx, c, nil, n, country)
	if err != nil {
		return sample{}, err
	}
	return sample{
		steps:    []sampleStep{{what: "blocking your numbers", op: ledger.Block, users: in.users}},
		rejected: len(in.rejected),
	}, nil
}

// ordinary returns some of the sample's numbers, spread over it, none of which must fail.
func (s sample) ordinary() []string {
	const every = devUsersPerCall / 2   // in nearly every full call
	numbers := []string{"+16505550000"} // never empty: a fault without users hits every call
	for i, u := range s.steps[0].users {
		if i%every == 0 && mustFail[u.Reveal()] == (fate{}) {
			numbers = append(numbers, u.Reveal())
		}
	}
	return numbers
}

// fates returns how each number must end.
func (s sample) fates() map[user.ID]fate {
	want := map[user.ID]fate{}
	for _, step := range s.steps {
		for _, u := range step.users {
			want[u] = mustFail[u.Reveal()]
		}
	}
	return want
}

// devSummary is the answer of dev.
type devSummary struct {
	Succeeded     int            `json:"succeeded"`
	DeadLettered  map[string]int `json:"dead_lettered"` // by code
	Unexpected    int            `json:"unexpected"`    // numbers that ended otherwise than they must
	Rejected      int            `json:"rejected"`
	Calls         int64          `json:"calls"`
	RateLimitHits int64          `json:"rate_limit_hits"`
	Took          string         `json:"took"`
}

func (r *devSummary) count(e ledger.Entry, want fate) {
	got := fate{dead: e.State == ledger.Dead || e.State == ledger.Discarded}
	if got.dead {
		if e.Failure != nil {
			got.code = e.Failure.Code
		}
		r.DeadLettered[codeName(got.code)]++
	} else if e.State == ledger.Succeeded {
		r.Succeeded++
	}
	if got != want || !e.State.Ended() {
		r.Unexpected++
	}
}

func codeName(code int) string {
	if code == 0 {
		return "no code"
	}
	return fmt.Sprint(code)
}

// tally counts calls for the summary, beside the metrics.
type tally struct {
	*metrics.Metrics
	calls, limitHits atomic.Int64
}

func (t *tally) Call(phoneNumberID, operation, outcome string, users int, took time.Duration, traceID string) {
	t.calls.Add(1)
	t.Metrics.Call(phoneNumberID, operation, outcome, users, took, traceID)
}

func (t *tally) RateLimitHit(phoneNumberID, scope string) {
	t.limitHits.Add(1)
	t.Metrics.RateLimitHit(phoneNumberID, scope)
}

// devScenario describes an API that shows the use of wablock: it hides its limit, and is sometimes
// out of order. What it cuts are calls that carry ordinary users: for a number that must die
// with a code, a last attempt that was cut would be an end without one.
func devScenario(s sample) simulator.Scenario {
	return simulator.Scenario{
		Latency: simulator.Latency{Base: simulator.Duration(60 * time.Millisecond), Jitter: simulator.Duration(60 * time.Millisecond)},
		Limits:  []simulator.Limit{{Rate: 8, Burst: 4}},
		Faults:  []simulator.Fault{{Name: "cut after applying", Effect: simulator.EffectReset, Applied: true, Skip: 5, Every: 9, Users: s.ordinary()}},
		Journal: simulator.JournalLimits{Calls: 1000, Users: 100_000},
	}
}

// meaning explains a code in a few words, by the client's table.
func meaning(code string) string {
	for _, r := range client.Rules() {
		if fmt.Sprint(r.Code) == code {
			return code + ": " + r.Name
		}
	}
	return code + ": the API never named the number"
}

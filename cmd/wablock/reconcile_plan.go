package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/amounts"
	numberfile "github.com/wablock/wablock/tasks/numbers"
	"github.com/wablock/wablock/tasks/reply"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/plan"
)

// planJSON is the answer of `reconcile`, and what --plan-file holds.
type planJSON struct {
	PhoneNumberID string   `json:"phone_number_id"`
	Desired       int      `json:"desired"`
	Actual        int      `json:"actual"`
	ToBlock       []string `json:"to_block"`
	ToUnblock     []string `json:"to_unblock"`
	Applied       bool     `json:"applied"`

	Mode   plan.Mode `json:"mode"`
	Source string    `json:"source"`
	// SourceAt is the source as a later --apply names it, when nothing in it is secret.
	SourceAt string `json:"source_at,omitempty"`
	// SourceColumn and SourceCountry are how its numbers were read, as flags and settings said.
	SourceColumn  string             `json:"source_column,omitempty"`
	SourceCountry string             `json:"source_country,omitempty"`
	Hash          string             `json:"hash"`
	ToAdopt       []string           `json:"to_adopt,omitempty"`
	Ambiguous     []ambiguousJSON    `json:"ambiguous"`
	LeftAlone     int                `json:"left_alone"`
	LikelyToFail  int                `json:"likely_to_fail"`
	Protected     int                `json:"protected"` // desired users who must not be blocked
	After         int                `json:"after"`     // users on the list when all has succeeded
	OverCapacity  bool               `json:"over_capacity"`
	Calls         int                `json:"calls"`
	Seconds       float64            `json:"seconds"` // at the learnt rate
	Guards        []plan.Violation   `json:"guards"`
	Approved      bool               `json:"approved"`
	Rejected      []tasks.Rejection  `json:"rejected"`
	Column        *numberfile.Column `json:"column,omitempty"` // of the desired list
	Blocks        int                `json:"blocks_enqueued"`
	Unblocks      int                `json:"unblocks_enqueued"`
	Adopted       int                `json:"adopted"`
	RunID         string             `json:"run_id"`
	*reply.Settled
}

type ambiguousJSON struct {
	User   string     `json:"user,omitempty"`
	Reason plan.Doubt `json:"reason"`
}

func planAnswer(res *reconcile.Result, sourceAt string, read numberfile.Options, t reconcile.Target) planJSON {
	p := res.Plan
	j := planJSON{
		PhoneNumberID: p.PhoneNumberID, Desired: p.Desired, Actual: p.Actual,
		ToBlock: revealed(p.ToBlock), ToUnblock: revealed(p.ToUnblock), ToAdopt: revealed(p.ToAdopt), Applied: res.Applied,
		Mode: p.Mode, Source: t.Source.Name(), SourceAt: sourceAt, Hash: p.Hash,
		SourceColumn: read.Column, SourceCountry: read.Country.String(),
		Ambiguous: make([]ambiguousJSON, 0, len(p.Ambiguous)), LeftAlone: p.LeftAlone, LikelyToFail: p.LikelyToFail, Protected: p.Protected,
		After: p.After(), OverCapacity: p.After() > plan.Capacity, Calls: res.Calls, Seconds: res.Takes.Seconds(),
		Guards: append([]plan.Violation{}, res.Violations...), Approved: res.Approved,
		Rejected: append([]tasks.Rejection{}, res.Rejected...),
		Blocks:   res.Record.Blocks, Unblocks: res.Record.Unblocks, Adopted: res.Adopted, RunID: res.Record.RunID,
	}
	if res.Column.Number > 0 {
		j.Column = &res.Column
	}
	for _, a := range p.Ambiguous {
		j.Ambiguous = append(j.Ambiguous, ambiguousJSON{a.User.Reveal(), a.Reason})
	}
	return j
}

func revealed(changes []plan.Change) []string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.User.Reveal()
	}
	return names
}

// maxShownChanges bounds what people are shown of each list; --json has all.
const maxShownChanges = 20

// showPlan writes a plan for people.
func showPlan(c *cli, res *reconcile.Result, j planJSON) error {
	w := &printer{w: c.out}
	p := res.Plan
	w.print("%s should be blocked (%s), %s are. Mode %s, plan %s.", amounts.Thousands(p.Desired), j.Source, amounts.Thousands(p.Actual), p.Mode, p.Hash)
	w.numbers("To block", j.ToBlock)
	w.numbers("To unblock", j.ToUnblock)
	if p.Mode == plan.Adopt {
		w.numbers("To take into the ledger", j.ToAdopt)
	}
	if n := len(j.Ambiguous); n > 0 {
		w.print("Left as they are, each for the reason given: %s.", amounts.Thousands(n))
		for _, d := range j.Ambiguous[:min(n, maxShownChanges)] {
			w.print("  %s: %s", d.User, d.Reason)
		}
	}
	if p.LeftAlone > 0 {
		w.print("Left alone, because work for them is under way: %s.", amounts.Thousands(p.LeftAlone))
	}
	if p.Protected > 0 {
		w.print("Not blocked, since they are protected: %s; `wablock protect list` says why.", amounts.Thousands(p.Protected))
	}
	if p.LikelyToFail > 0 {
		w.print("Of the blocks %s are likely to fail: nothing shows that these users wrote within 24 hours.", amounts.Thousands(p.LikelyToFail))
	}
	if j.OverCapacity {
		w.print("The list would have %s users, and holds %s: some blocks will fail.", amounts.Thousands(j.After), amounts.Thousands(plan.Capacity))
	}
	if res.Calls > 0 {
		w.print("It takes %s, about %.0f s at the learnt rate.", amounts.Count(res.Calls, "call"), j.Seconds)
	}
	w.outcome(res, j)
	showColumn(c, res.Column)
	showRejected(c, inputs{rejected: res.Rejected})
	return w.err
}

// printer writes lines for people, and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (w *printer) print(format string, args ...any) {
	_, err := fmt.Fprintln(w.w, printable(fmt.Sprintf(format, args...)))
	w.err = cmp.Or(w.err, err)
}

func (w *printer) outcome(res *reconcile.Result, j planJSON) {
	stopped := len(res.Violations) > 0 && !res.Approved
	for _, t := range res.Violations {
		w.print("Guard %s: %s.", t.Guard, t.Text)
	}
	if stopped && res.Record.Blocks+res.Record.Adopted == 0 {
		w.print("Guards stop all unblocks until the plan is approved: --apply --approve %s", res.Plan.Hash)
	}
	if j.Applied || res.Record.Blocks+res.Record.Adopted > 0 {
		w.print("Enqueued: %s and %s; taken into the ledger: %s.", amounts.Count(j.Blocks, "block"), amounts.Count(j.Unblocks, "unblock"), amounts.Thousands(j.Adopted))
	}
}

func (w *printer) numbers(what string, numbers []string) {
	w.print("%s: %s.", what, amounts.Thousands(len(numbers)))
	for _, n := range numbers[:min(len(numbers), maxShownChanges)] {
		w.print("  %s", n)
	}
	if more := len(numbers) - maxShownChanges; more > 0 {
		w.print("  and %s more: --json shows them", amounts.Thousands(more))
	}
}

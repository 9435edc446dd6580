package model_test

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is a way in which the protocol can be broken; "" is none.
type Fault string

// The broken variants, each of which Check must reject.
const (
	SettleUnclaimed  Fault = "settle does not look at the claim"
	SettleOldVersion Fault = "settle does not look at the version"
	SettleLoses      Fault = "settle forgets the newer request"
	MarkClearsClaim  Fault = "mark clears the claim"
	OldMarkWins      Fault = "mark does not compare versions"
	ClaimInFlight    Fault = "claim takes a user that a call holds"
	SweepLoses       Fault = "a lost claim's user is not put in line again"
	EarlyExpiry      Fault = "the deadline passes before the call has ended"
	LateCall         Fault = "the call begins after the deadline"
	UnsureIsSuccess  Fault = "a cut call counts as a success"
	LateIsForgotten  Fault = "a call that ends after its claim was lost repeats nothing"
	EndWins          Fault = "the end of a timed block wins over a newer request"
	EndForgetsCalls  Fault = "the end of a timed block does not look for calls that were cut"
	LateBesideCall   Fault = "a call that ends late does not look at the call that is out"
	TakenIsForgotten Fault = "a claim does not look for calls whose claim was taken over"
)

// Faulty lists the broken variants.
func Faulty() []Fault {
	return []Fault{
		SettleUnclaimed, SettleOldVersion, SettleLoses, MarkClearsClaim, OldMarkWins,
		ClaimInFlight, SweepLoses, EarlyExpiry, LateCall, UnsureIsSuccess, LateIsForgotten, LateBesideCall,
		EndWins, EndForgetsCalls, TakenIsForgotten,
	}
}

// Violation is a promise that was broken, and a shortest way to it.
type Violation struct {
	Promise Promise
	Steps   []Step
	State   State
}

func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, after %d steps:", v.Promise, len(v.Steps))
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "\n  %v", s)
	}
	fmt.Fprintf(&b, "\nin %v", v.State)
	return b.String()
}

// Promise names the breach of a promise of the protocol.
type Promise string

// The promises.
const (
	OneOperation Promise = "the user is in two calls of different operations at once"
	LatestWins   Promise = "the API's list is not as the latest request wants it"
	Settles      Promise = "no lucky way leads from here to the end of all requests"
	Newest       Promise = "the record is not of the newest request that was marked"
	Indexed      Promise = "who waits, or is in flight, does not stand where it should"
)

// holds reports which of the promises about a single state s keeps.
func (p Protocol) holds(s State) map[Promise]bool {
	untold, newest := 0, 0
	calls := map[bool]bool{}
	for _, w := range s.Workers {
		if w.Phase.live() {
			calls[p.Blocks[w.Version-1]] = true
		}
		if w.Phase.live() || w.Phase == Heard || w.Phase == Unsure {
			untold++
		}
	}
	for i, m := range s.Marked {
		if m {
			newest = i + 1
		}
	}
	return map[Promise]bool{
		OneOperation: len(calls) <= 1 || p.Unruly,
		LatestWins:   s.Status != Succeeded || s.Blocked == p.Blocks[s.Version-1] || p.Unruly && untold > 0,
		Newest:       int(s.Version) == newest,
		Indexed:      s.indexed(),
	}
}

func (s State) indexed() bool {
	switch {
	case s.Claim != Unclaimed:
		return s.Place == Later || s.Place == Due
	case s.Status == Waiting:
		return s.Place != Nowhere
	}
	return s.Place == Nowhere
}

// visit is the step that first led to a state.
type visit struct {
	from State
	step Step
}

// Check walks all that p can do. It returns how many states that is, and for each promise
// that is broken anywhere a shortest way there.
func Check(p Protocol) (states int, broken []Violation) {
	seen := map[State]visit{Start(): {}}
	order := []State{Start()}
	luckyFrom := map[State][]State{} // by where lucky steps lead to
	found := map[Promise]bool{}
	report := func(promise Promise, s State) {
		if !found[promise] {
			found[promise] = true
			broken = append(broken, Violation{Promise: promise, Steps: way(seen, s), State: s})
		}
	}
	for i := 0; i < len(order); i++ {
		s := order[i]
		for promise, held := range p.holds(s) {
			if !held {
				report(promise, s)
			}
		}
		for _, m := range p.Next(s) {
			if !m.Step.Unlucky() {
				luckyFrom[m.To] = append(luckyFrom[m.To], s)
			}
			if _, ok := seen[m.To]; !ok {
				seen[m.To] = visit{s, m.Step}
				order = append(order, m.To)
			}
		}
	}
	settles := reaching(order, luckyFrom)
	for _, s := range order {
		if !settles[s] {
			report(Settles, s)
		}
	}
	return len(order), broken
}

// reaching returns the states from which lucky steps lead to a quiet one.
func reaching(all []State, from map[State][]State) map[State]bool {
	reached := map[State]bool{}
	var todo []State
	for _, s := range all {
		if s.Quiet() {
			reached[s] = true
			todo = append(todo, s)
		}
	}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, before := range from[s] {
			if !reached[before] {
				reached[before] = true
				todo = append(todo, before)
			}
		}
	}
	return reached
}

func way(seen map[State]visit, s State) []Step {
	var steps []Step
	for v := seen[s]; v.step != (Step{}); v = seen[s] {
		steps = append(steps, v.step)
		s = v.from
	}
	slices.Reverse(steps)
	return steps
}

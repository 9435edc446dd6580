package model_test

import "fmt"

// Kind is a kind of step; the package comment says what each stands for.
type Kind string

// The kinds of steps.
const (
	Mark        Kind = "mark"
	Sweep       Kind = "sweep"
	Claim       Kind = "claim"
	ClaimLost   Kind = "claim, reply lost"
	ClaimAgain  Kind = "claim repeated"
	Renew       Kind = "renew"
	Send        Kind = "send"
	Apply       Kind = "call applied"
	ReplyLost   Kind = "call applied, answer lost"
	Refuse      Kind = "call refused"
	Cut         Kind = "call cut, not applied"
	LateEffect  Kind = "call of the dead applied"
	LateEnd     Kind = "call of the dead ends without effect"
	SettleOK    Kind = "settle succeeded"
	SettleNow   Kind = "settle retry now"
	SettleLater Kind = "settle retry later"
	SettleDead  Kind = "settle dead"
	Crash       Kind = "crash"
	Pass        Kind = "time passes"
	End         Kind = "the timed block ends"
	TakeOver    Kind = "the claim is taken over"
	KeepBack    Kind = "claim, the user waits for the end of a call of the other operation"
	Outlast     Kind = "the deadline of a claim that was taken over passes"
)

// Step is one step. Again says that the reply gets lost, so that the worker will
// repeat the step.
type Step struct {
	Kind    Kind
	Worker  int // index, where the kind has one
	Version int // of Mark
	Again   bool
}

func (s Step) String() string {
	switch s.Kind {
	case Mark:
		return fmt.Sprintf("mark v%d", s.Version)
	case Sweep, Pass, End, TakeOver, Outlast:
		return string(s.Kind)
	default: // a worker's
	}
	out := fmt.Sprintf("worker %d: %s", s.Worker+1, s.Kind)
	if s.Again {
		out += ", reply lost"
	}
	return out
}

// Unlucky reports whether a world without mishaps would never take the step.
func (s Step) Unlucky() bool {
	switch s.Kind {
	case ClaimLost, ReplyLost, Refuse, Cut, Crash, SettleDead:
		return true
	default:
		return s.Again
	}
}

// Protocol is the protocol, or a broken variant of it. Blocks says of each version whether it
// asks for a block.
type Protocol struct {
	Blocks [Versions]bool
	Fault  Fault
	// Unruly lets claims be lost, and calls begin and end, at any time: what a failover that loses
	// the last second, a clock that is set forward and a stopped process come to. Then a user may
	// be in two calls, and the list is right as soon as the workers have told what their calls did.
	Unruly bool
	// Timed says that version 1 is a block that ends by itself, and that version 2 is its end.
	Timed bool
}

// Move is a step and where it leads.
type Move struct {
	Step Step
	To   State
}

// GoString prints the move in a failed random walk.
func (m Move) GoString() string { return m.Step.String() }

// Next returns each move from s, always in the same order. Steps that change nothing are left
// out.
func (p Protocol) Next(s State) []Move {
	var moves []Move
	add := func(step Step, to State) {
		if to != s {
			moves = append(moves, Move{step, to})
		}
	}
	for v := 1; v <= Versions; v++ {
		if v == 2 && p.Timed {
			add(Step{Kind: End}, p.endBlock(s))
			continue
		}
		add(Step{Kind: Mark, Version: v}, p.mark(s, uint8(v)))
	}
	add(Step{Kind: Sweep}, p.sweep(s))
	if p.canPass(s) {
		to := s
		to.Place = Due
		add(Step{Kind: Pass}, to)
	}
	add(Step{Kind: TakeOver}, p.takeOver(s))
	if p.canOutlast(s) {
		to := s
		to.Taken = NoOp
		for i := range to.Workers {
			to.Workers[i].Taken = false
		}
		add(Step{Kind: Outlast}, to)
	}
	for i := range s.Workers {
		p.workerSteps(s, i, add)
	}
	return moves
}

// workerSteps adds what worker i can do.
func (p Protocol) workerSteps(s State, i int, add func(Step, State)) {
	step := func(k Kind) Step { return Step{Kind: k, Worker: i} }
	w := s.Workers[i]
	switch w.Phase {
	case Idle:
		if to := p.claim(s, i); to.Workers[i].Phase == Holding {
			add(step(Claim), to)
			to.Workers[i].Phase = Asking
			add(step(ClaimLost), to)
		} else if p.keepsBack(p.sweep(s)) {
			add(step(KeepBack), to)
		}
	case Asking:
		add(step(ClaimAgain), p.claimAgain(s, i))
	case Holding:
		if p.canSend(s, i) {
			to := s
			to.Workers[i].Phase = Calling
			add(step(Send), to)
		}
		if !p.canSend(s, i) || p.Unruly { // it gives its claim up, as one that retries at once
			p.settleSteps(s, i, add, SettleNow)
		}
		add(step(Renew), p.renew(s, i))
	case Calling:
		add(step(Apply), p.end(s, i, true, Heard))
		add(step(ReplyLost), p.end(s, i, true, Unsure))
		add(step(Refuse), p.end(s, i, false, Refused))
		add(step(Cut), p.end(s, i, false, Unsure))
	case Ghost:
		add(step(LateEffect), crash(p.end(s, i, true, Unsure), i))
		add(step(LateEnd), crash(p.end(s, i, false, Unsure), i))
	case Heard:
		p.settleSteps(s, i, add, SettleOK)
	case Refused:
		p.settleSteps(s, i, add, SettleNow, SettleLater, SettleDead)
		add(step(Renew), p.renew(s, i))
	case Unsure:
		p.settleSteps(s, i, add, p.whenUnsure()...)
		add(step(Renew), p.renew(s, i))
	}
	tells := w.Phase == Calling || w.Phase == Heard || w.Phase == Unsure
	if w.Phase != Idle && w.Phase != Ghost && !(p.Unruly && tells) {
		add(step(Crash), crash(s, i))
	}
}

func (p Protocol) settleSteps(s State, i int, add func(Step, State), kinds ...Kind) {
	for _, k := range kinds {
		to := p.settle(s, i, k)
		add(Step{Kind: k, Worker: i, Again: true}, to)
		add(Step{Kind: k, Worker: i}, leave(to, i))
	}
}

// canPass: what waits for its time, and is in no call that is out.
func (p Protocol) canPass(s State) bool {
	if s.Place != Later {
		return false
	}
	if s.Claim == Unclaimed || s.Claim == Orphan || p.Fault == EarlyExpiry || p.Unruly {
		return true
	}
	return !s.Workers[s.Claim-1].Phase.live()
}

// canOutlast: no call is out whose claim was taken over.
func (p Protocol) canOutlast(s State) bool {
	for _, w := range s.Workers {
		if w.Taken && w.Phase.live() && !p.Unruly {
			return false
		}
	}
	return s.Taken != NoOp
}

// canSend: the deadline has not passed, as far as the worker's clock tells. Of a take-over it knows nothing.
func (p Protocol) canSend(s State, i int) bool {
	return p.Fault == LateCall || p.Unruly || (int(s.Claim) == i+1 && s.Place == Later) || s.Workers[i].Taken
}

// op returns the operation that a version asks for.
func (p Protocol) op(version uint8) Op {
	if p.Blocks[version-1] {
		return Block
	}
	return Unblock
}

// end ends the call of worker i, with or without effect.
func (p Protocol) end(s State, i int, applied bool, phase Phase) State {
	if applied {
		s.Blocked = p.Blocks[s.Workers[i].Version-1]
	}
	s.Workers[i].Phase = phase
	return s
}

// crash ends worker i. A call that is out goes on, and keeps the claim's name until it ends.
func crash(s State, i int) State {
	if s.Workers[i].Phase == Calling {
		s.Workers[i].Phase = Ghost
		return s
	}
	return leave(s, i)
}

// leave ends what worker i does. A claim of its that is left, revoked or not, is one without a worker.
func leave(s State, i int) State {
	if int(s.Claim) == i+1 {
		s.Claim = Orphan
	}
	s.Workers[i] = Worker{Phase: Idle}
	return s
}

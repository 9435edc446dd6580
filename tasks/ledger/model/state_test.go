package model_test

import (
	"fmt"
	"strings"
)

// Workers and Versions are the size of the model.
const (
	Workers  = 2
	Versions = 3
)

// Status is the state of a user's record.
type Status byte

// The states of a record; None is that of a user without one.
const (
	None      Status = '-'
	Waiting   Status = 'w'
	InFlight  Status = 'f'
	Succeeded Status = 's'
	Dead      Status = 'd'
)

// Place is the position of the user in the index of waiting users.
type Place byte

// The places.
const (
	Nowhere Place = '-'
	Line    Place = 'l'
	Later   Place = 't' // in flight, or backing off
	Due     Place = 'u' // as Later, and the time has passed
)

// Claims: none, a worker's (its index plus one), or an Orphan.
const (
	Unclaimed = 0
	Orphan    = Workers + 1
)

// Phase is the activity of a worker.
type Phase byte

// The phases, in the order in which a worker goes through them.
const (
	Idle    Phase = 'i'
	Asking  Phase = 'a' // asked for a claim, and the reply got lost
	Holding Phase = 'h' // has a claim, and has not sent its call
	Calling Phase = 'c' // the call is out
	Ghost   Phase = 'g' // the call is out, and the worker is dead
	Heard   Phase = 'k' // the API said yes
	Refused Phase = 'r' // the API said no
	Unsure  Phase = 'n' // the call was cut: unknown
)

// live reports whether a call is out.
func (p Phase) live() bool { return p == Calling || p == Ghost }

// Worker is one worker, with the version it claimed.
type Worker struct {
	Phase   Phase
	Version uint8
	Taken   bool // its claim was taken over, and that claim's deadline has not passed
}

// Op is an operation, or none.
type Op byte

// The operations.
const (
	NoOp    Op = '-'
	Block   Op = 'b'
	Unblock Op = 'u'
)

// State is the whole world of the model. It is comparable.
type State struct {
	Blocked bool           // on the API's list
	Marked  [Versions]bool // which requests were marked at least once
	Version uint8          // of the record, 1 to Versions; 0 without a record
	Status  Status
	Claim   uint8
	Calls   Op   // what the call under the claim does
	Taken   Op   // what a call does whose claim was taken over, until that claim's deadline
	Revoked bool // the claim counts for nothing, and keeps others out until its deadline
	Place   Place
	Touched bool // a call since the last success may have been carried out; with a timed block alone
	Workers [Workers]Worker
}

// Start is the state in which nothing was asked for.
func Start() State {
	s := State{Status: None, Place: Nowhere, Calls: NoOp, Taken: NoOp}
	for i := range s.Workers {
		s.Workers[i].Phase = Idle
	}
	return s
}

// Quiet reports whether everything was marked and nothing is left to do.
func (s State) Quiet() bool {
	for _, m := range s.Marked {
		if !m {
			return false
		}
	}
	for _, w := range s.Workers {
		if w.Phase != Idle {
			return false
		}
	}
	return s.Claim == Unclaimed && (s.Status == Succeeded || s.Status == Dead)
}

func (s State) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "v%d %c claim %d calls %c revoked %v taken %c place %c blocked %v",
		s.Version, s.Status, s.Claim, s.Calls, s.Revoked, s.Taken, s.Place, s.Blocked)
	for _, w := range s.Workers {
		fmt.Fprintf(&b, " | %c v%d taken %v", w.Phase, w.Version, w.Taken)
	}
	return b.String()
}

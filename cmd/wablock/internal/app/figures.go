package app

import (
	"time"

	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/worker"
)

// figured passes on what lanes do, and gathers the figures over time from it.
type figured struct {
	worker.Metrics
	figures *figures.Recorder
}

// Call implements [worker.Metrics].
func (f figured) Call(phoneNumberID, operation, outcome string, users int, took time.Duration, traceID string) {
	f.Metrics.Call(phoneNumberID, operation, outcome, users, took, traceID)
	f.figures.Add(phoneNumberID, figures.Counts{Calls: 1})
}

// RateLimitHit implements [worker.Metrics].
func (f figured) RateLimitHit(phoneNumberID, scope string) {
	f.Metrics.RateLimitHit(phoneNumberID, scope)
	f.figures.Add(phoneNumberID, figures.Counts{Refusals: 1})
}

// Settled implements [worker.Metrics].
func (f figured) Settled(phoneNumberID, operation, state string, code, users int) {
	f.Metrics.Settled(phoneNumberID, operation, state, code, users)
	switch state {
	case ledger.Succeeded.String():
		f.figures.Add(phoneNumberID, figures.Counts{Succeeded: users})
	case ledger.Dead.String():
		f.figures.Add(phoneNumberID, figures.Counts{DeadLettered: users})
	}
}

// Learnt implements [worker.Metrics].
func (f figured) Learnt(phoneNumberID string, rate, anchor float64, usersPerCall int) {
	f.Metrics.Learnt(phoneNumberID, rate, anchor, usersPerCall)
	f.figures.Learnt(phoneNumberID, rate)
}

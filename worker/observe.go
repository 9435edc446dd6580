package worker

import (
	"context"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// Metrics is told what a worker does. No argument ever names a user. It must be safe for
// concurrent use, and quick.
type Metrics interface {
	// Call is told of each API call: how it ended ("answered" or a rule's name) and how many
	// users it carried.
	Call(operation, outcome string, users int, took time.Duration)
	// Settled is told what became of users after a call. code is 0 for none.
	Settled(operation, state string, code, users int)
	// RateLimitHit is told of each limit error, by whose limit it was.
	RateLimitHit(phoneNumberID, scope string)
	// Limited is told when the limiter gives no leave, why and for how long.
	Limited(phoneNumberID, reason string, wait time.Duration)
	// Backlog is told what is left after each claim.
	Backlog(phoneNumberID string, b ledger.Backlog)
	// InFlight is told of users that go into a call, and with a negative number of those that
	// come out of one.
	InFlight(phoneNumberID string, users int)
	// Learnt is told what the limiter holds to be allowed: calls a second, the rate at which the
	// API last pushed back (0 for never), and users a call.
	Learnt(phoneNumberID string, rate, anchor float64, usersPerCall int)
	// LaneState is told when a lane opens or closes its gate.
	LaneState(phoneNumberID, state string)
	// LaneClosed is told when a lane has no more work.
	LaneClosed(phoneNumberID string)
}

type noMetrics struct{}

func (noMetrics) Call(string, string, int, time.Duration) {}
func (noMetrics) Settled(string, string, int, int)        {}
func (noMetrics) RateLimitHit(string, string)             {}
func (noMetrics) Limited(string, string, time.Duration)   {}
func (noMetrics) Backlog(string, ledger.Backlog)          {}
func (noMetrics) InFlight(string, int)                    {}
func (noMetrics) Learnt(string, float64, float64, int)    {}
func (noMetrics) LaneState(string, string)                {}
func (noMetrics) LaneClosed(string)                       {}

// shower is a limiter that can tell what it has learnt.
type shower interface {
	Show(ctx context.Context, phoneNumberID string) (ratelimit.Snapshot, error)
}

// watchLimits tells the metrics what the limiter has learnt of the lanes that are open.
func (w *Worker) watchLimits(ctx context.Context) {
	limiter, ok := w.cfg.Limiter.(shower)
	if !ok {
		return
	}
	tick := time.NewTicker(watchLimitsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, l := range w.lanes.all() {
			s, err := limiter.Show(ctx, l.number.ID)
			if err != nil {
				break // the lanes complain of Redis already
			}
			w.cfg.Metrics.Learnt(l.number.ID, s.Rate, s.Anchor, s.MaxUsers)
		}
	}
}

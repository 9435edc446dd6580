package lane

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
)

// errClosed is returned to a handler whose lane ended while it asked.
var errClosed = errors.New("worker: the lane has closed")

// markRequest asks the ledger to mark some users, and where they stand.
type markRequest struct {
	requests []ledger.Request
	reply    chan markReply // of capacity 1: the marker never waits for who asked
}

type markReply struct {
	states []ledger.State
	err    error
}

// markEvery is the least time between two runs of a marker.
const markEvery = time.Millisecond

// marker coalesces the marks of all handlers of a lane: while one is under way, and until markEvery is over, the next ones
// gather. So thousands of tasks of a single user cost few round trips, though asynq hands them over one by one.
type marker struct {
	ledger *ledger.Ledger
	asks   chan markRequest
	closed chan struct{} // when run has ended
}

func newMarker(l *ledger.Ledger) *marker {
	return &marker{ledger: l, asks: make(chan markRequest), closed: make(chan struct{})}
}

// mark marks what is missing, and returns where each request stands.
func (m *marker) mark(ctx context.Context, requests []ledger.Request) ([]ledger.State, error) {
	ask := markRequest{requests: requests, reply: make(chan markReply, 1)}
	select {
	case m.asks <- ask:
	case <-m.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case r := <-ask.reply:
		return r.states, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run serves marks until ctx ends.
func (m *marker) run(ctx context.Context) {
	defer close(m.closed)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case ask := <-m.asks:
			if rest := markEvery - time.Since(last); rest > 0 {
				sleepFor(ctx, rest)
			}
			last = time.Now()
			m.serve(ctx, m.gather(ask))
		}
	}
}

// gather takes what else is waiting to ask, up to what goes at once.
func (m *marker) gather(first markRequest) []markRequest {
	batch, n := []markRequest{first}, len(first.requests)
	for n < ledger.MaxBatch {
		select {
		case ask := <-m.asks:
			batch = append(batch, ask)
			n += len(ask.requests)
		default:
			return batch
		}
	}
	return batch
}

// serve marks what was asked for, each ask's requests in one script: they may be a whole part of a job.
func (m *marker) serve(ctx context.Context, batch []markRequest) {
	for len(batch) > 0 {
		n, requests := 1, slices.Clone(batch[0].requests)
		for n < len(batch) && len(requests)+len(batch[n].requests) <= ledger.MaxBatch {
			requests = append(requests, batch[n].requests...)
			n++
		}
		states, err := m.ledger.Mark(ctx, requests)
		for _, b := range batch[:n] {
			if err != nil {
				b.reply <- markReply{err: err}
				continue
			}
			b.reply <- markReply{states: states[:len(b.requests)]}
			states = states[len(b.requests):]
		}
		batch = batch[n:]
	}
}

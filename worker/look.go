package worker

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// errLaneClosed is returned to a handler whose lane ended while it asked.
var errLaneClosed = errors.New("worker: the lane has closed")

// lookRequest asks the ledger to mark some users, and where they stand.
type lookRequest struct {
	requests []ledger.Request
	reply    chan lookReply // of capacity 1: the looker never waits for who asked
}

type lookReply struct {
	states []ledger.State
	err    error
}

// looker joins the looks of all handlers of a lane: while one is under way, the next ones
// gather. So thousands of tasks of a single user cost few round trips.
type looker struct {
	ledger *ledger.Ledger
	asks   chan lookRequest
	closed chan struct{} // when run has ended
}

func newLooker(l *ledger.Ledger) *looker {
	return &looker{ledger: l, asks: make(chan lookRequest), closed: make(chan struct{})}
}

// look marks what is missing, and returns where each request stands.
func (l *looker) look(ctx context.Context, requests []ledger.Request) ([]ledger.State, error) {
	ask := lookRequest{requests: requests, reply: make(chan lookReply, 1)}
	select {
	case l.asks <- ask:
	case <-l.closed:
		return nil, errLaneClosed
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

// run serves looks until ctx ends.
func (l *looker) run(ctx context.Context) {
	defer close(l.closed)
	for {
		var batch []lookRequest
		select {
		case <-ctx.Done():
			return
		case ask := <-l.asks:
			batch = l.gather(ask)
		}
		l.serve(ctx, batch)
	}
}

// gather takes what else is waiting to ask, up to what goes at once.
func (l *looker) gather(first lookRequest) []lookRequest {
	batch, n := []lookRequest{first}, len(first.requests)
	for n < ledger.MaxBatch {
		select {
		case ask := <-l.asks:
			batch = append(batch, ask)
			n += len(ask.requests)
		default:
			return batch
		}
	}
	return batch
}

func (l *looker) serve(ctx context.Context, batch []lookRequest) {
	var requests []ledger.Request
	for _, b := range batch {
		requests = append(requests, b.requests...)
	}
	states := make([]ledger.State, 0, len(requests))
	var err error
	for from := 0; from < len(requests) && err == nil; from += ledger.MaxBatch {
		var s []ledger.State
		s, err = l.ledger.Mark(ctx, requests[from:min(from+ledger.MaxBatch, len(requests))])
		states = append(states, s...)
	}
	for _, b := range batch {
		if err != nil {
			b.reply <- lookReply{err: err}
			continue
		}
		b.reply <- lookReply{states: states[:len(b.requests)]}
		states = states[len(b.requests):]
	}
}

// lookAgain learns of users that other workers have settled.
func (l *lane) lookAgain(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ws, users := l.watches.waiting(ledger.MaxBatch)
		for i, w := range ws {
			if err := l.look(ctx, w, users[i]); err != nil && ctx.Err() == nil {
				l.w.complain(l.log, "lane: Redis does not tell where users stand", err)
				break
			}
		}
	}
}

// look tells a watch where some of its users stand, marking them as wanted if the ledger has
// not got them yet.
func (l *lane) look(ctx context.Context, w *watch, users []user.ID) error {
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{User: u, Operation: w.operation, Queue: w.queue, Version: w.version}
	}
	states, err := l.looker.look(ctx, requests)
	if err != nil {
		return err
	}
	l.watches.looked(w, users, states)
	return nil
}

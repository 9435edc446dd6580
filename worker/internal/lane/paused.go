package lane

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/worker/internal/verdict"
)

const (
	pausesFresh = 250 * time.Millisecond // that a reading of the pauses counts
	pausesKnown = 5 * time.Second        // that one is good enough to be told to people
	pausePoll   = 500 * time.Millisecond // between looks of a lane that may call nothing
)

// pauses tells a lane what operators have paused: for its phone number ID, and for all, which may be in
// another slot of a cluster, so that the claim script can't look. Without a reading no call begins.
type pauses struct {
	rdb redis.UniversalClient
	id  string
	log *slog.Logger

	mu   sync.Mutex
	read time.Time
	all  []pause.Pause
}

// now returns the pauses, as they were pausesFresh ago or later.
func (p *pauses) now(ctx context.Context) ([]pause.Pause, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) < pausesFresh {
		return p.all, nil
	}
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, redisRetryDelay)
	defer cancel()
	all, err := pause.Of(ctx, p.rdb, p.id)
	if err != nil {
		return nil, err
	}
	p.logChanges(all)
	p.read, p.all = asked, all
	return all, nil
}

// known returns the pauses that were read last, none if that was long ago.
func (p *pauses) known() []pause.Pause {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.read) > pausesKnown {
		return nil
	}
	return p.all
}

func (p *pauses) logChanges(all []pause.Pause) {
	for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
		before, was := pause.Stops(p.all, p.id, op)
		now, is := pause.Stops(all, p.id, op)
		switch {
		case is && (!was || before != now):
			p.log.Warn("lane: calls are paused; no work is lost", keyOperation, op, keyReason, now.String())
		case was && !is:
			p.log.Info("lane: calls go again after a pause", keyOperation, op)
		}
	}
}

// stops reports whether an operation is paused.
func (p *pauses) stops(ctx context.Context, op ledger.Operation) (bool, error) {
	all, err := p.now(ctx)
	_, stops := pause.Stops(all, p.id, op)
	return stops, err
}

// narrow restricts an admission to the operations that are not paused, and reports whether any is left.
func (p *pauses) narrow(ctx context.Context, adm verdict.Admission) (verdict.Admission, bool, error) {
	if adm.Probe == verdict.ListProbe { // listing goes on
		return adm, true, nil
	}
	all, err := p.now(ctx)
	if err != nil {
		return adm, false, err
	}
	_, block := pause.Stops(all, p.id, ledger.Block)
	_, unblock := pause.Stops(all, p.id, ledger.Unblock)
	if block && adm.Room { // there may be unblocks
		adm = verdict.Admission{Only: ledger.Unblock}
	}
	switch {
	case block && unblock, block && adm.Only == ledger.Block, unblock && adm.Only == ledger.Unblock:
		return adm, false, nil
	case block:
		adm.Only = ledger.Unblock
	case unblock:
		adm.Only = ledger.Block
	}
	return adm, true, nil
}

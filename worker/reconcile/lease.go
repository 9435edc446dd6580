package reconcile

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/lease.lua
var leaseLua string

var leaseScript = redis.NewScript(leaseLua) // stateless: a text and its hash

// redisTimeout bounds what must be written though the context has ended.
const redisTimeout = 2 * time.Second

// ErrRunning is returned, wrapped, while another reconciliation of the phone number ID runs.
var ErrRunning = errors.New("another reconciliation of this phone number ID is running")

// errLeaseLost ends a run that could not keep its lease: another may have begun.
var errLeaseLost = errors.New("reconcile: the run's lease was lost, and the run ended")

// LeaseTime is the time that a run's lease outlives a process that dies, by Redis's clock.
const LeaseTime = 30 * time.Second

// lease is the right to reconcile one phone number ID.
type lease struct {
	rdb     redis.UniversalClient
	key     string
	owner   string
	release func()
}

// acquireLease returns a lease, and a context that ends when the lease is lost.
func acquireLease(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, owner string) (*lease, context.Context, error) {
	l := &lease{rdb: rdb, key: key(phoneNumberID, keyLease), owner: owner}
	ok, err := l.set(ctx, LeaseTime, "1")
	if err != nil {
		return nil, nil, fmt.Errorf("reconcile: acquire the lease: %w", err)
	}
	if !ok {
		return nil, nil, fmt.Errorf("reconcile: %w", ErrRunning)
	}
	ctx, lose := context.WithCancelCause(ctx)
	renewing := renewUntil(ctx, LeaseTime, func(ctx context.Context) (bool, error) { return l.set(ctx, LeaseTime, "0") },
		func() { lose(errLeaseLost) })
	l.release = func() {
		lose(nil)
		<-renewing
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
		defer cancel()
		_, _ = l.set(after, 0, "0") // else it ends by itself
	}
	return l, ctx, nil
}

// renew renews the lease, or returns an error if it is lost. A process that was stopped for
// longer than it lasts may not have noticed yet, and what it has decided on is old.
func (l *lease) renew(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ok, err := l.set(ctx, LeaseTime, "0")
	if err != nil {
		return fmt.Errorf("reconcile: renew the lease: %w", err)
	}
	if !ok {
		return errLeaseLost
	}
	return nil
}

func (l *lease) set(ctx context.Context, ttl time.Duration, take string) (bool, error) {
	n, err := leaseScript.Run(ctx, l.rdb, []string{l.key}, l.owner, ttl.Milliseconds(), take).Int()
	return n == 1, err
}

// renewUntil renews what expires after a lifetime until ctx ends, and calls lost when it was
// lost or could not be renewed in time. The channel is closed when it has returned.
func renewUntil(ctx context.Context, lifetime time.Duration, renew func(context.Context) (bool, error), lost func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lifetime / 6)
		defer tick.Stop()
		renewed := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asked := time.Now()
			each, cancel := context.WithTimeout(ctx, lifetime/6)
			ok, err := renew(each)
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && ok:
				renewed = asked
			case err == nil, time.Since(renewed) > lifetime/2:
				lost()
				return
			}
		}
	}()
	return done
}

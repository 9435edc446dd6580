package reconcile

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/lease.lua
var leaseLua string

//go:embed lua/raise.lua
var raiseLua string

// scripts are stateless and shared: a Script is a text and its hash.
var (
	leaseScript = redis.NewScript(leaseLua)
	raiseScript = redis.NewScript(raiseLua)
)

// redisTimeout bounds what must be written though the context has ended.
const redisTimeout = 2 * time.Second

// key returns a Redis key of a phone number ID. They never expire, but for the lease: they
// are few, and say when the last run was.
func key(phoneNumberID, name string) string {
	return "wablock:{" + phoneNumberID + "}:reconcile:" + name
}

// The names of keys.
const (
	keyLease   = "lease"   // whose run it is
	keyRuns    = "runs"    // list of Records, the last one first
	keySlot    = "slot"    // by kind: the last slot that was enqueued, in Unix seconds
	keyDone    = "done"    // by kind: sorted set of the last slots that were run to their end
	keyDesired = "desired" // by source: how long the desired list was when it was believed last
	keyUsed    = "used"    // sorted set of the last plans that were approved, by when
	keyGood    = "good"    // Record of the last good run
)

// raise sets a number in Redis unless it is greater already.
func raise(ctx context.Context, rdb redis.UniversalClient, key string, to int64) error {
	return raiseScript.Run(ctx, rdb, []string{key}, to).Err()
}

// number reads a number from Redis, 0 for none.
func number(ctx context.Context, rdb redis.UniversalClient, key string) (int64, error) {
	n, err := rdb.Get(ctx, key).Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}

// The bounds of what is known of slots that are done.
const (
	maxDone = 200
	// maxLate is how many later slots may be done before a slot is let go: runs that take
	// longer than their schedule gives them must not pile up for ever.
	maxLate = 60
)

// markDone takes note that a slot was run to its end.
func markDone(ctx context.Context, p redis.Pipeliner, key string, slot int64) {
	p.ZAdd(ctx, key, redis.Z{Score: float64(slot), Member: slot})
	p.ZRemRangeByRank(ctx, key, 0, -maxDone-1)
}

// isDone reports whether a slot was run to its end, or comes too late to be run.
func isDone(ctx context.Context, rdb redis.UniversalClient, key string, slot int64) (bool, error) {
	var has, later *redis.IntCmd
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		at := strconv.FormatInt(slot, 10)
		has, later = p.ZCount(ctx, key, at, at), p.ZCount(ctx, key, "("+at, "+inf")
		return nil
	})
	if err != nil {
		return false, err
	}
	return has.Val() > 0 || later.Val() >= maxLate, nil
}

// ErrRunning is returned, wrapped, while another reconciliation of the phone number ID runs.
var ErrRunning = errors.New("another reconciliation of this phone number ID is running")

// errLeaseLost ends a run that could not keep its lease: another may have begun.
var errLeaseLost = errors.New("reconcile: the run's lease was lost, and the run given up")

// LeaseTime is how long a run's lease outlives a process that dies, by Redis's clock.
const LeaseTime = 30 * time.Second

// lease is the right to reconcile one phone number ID.
type lease struct {
	rdb   redis.UniversalClient
	key   string
	owner string
	// giveBack ends it.
	giveBack func()
}

// takeLease returns a lease, and a context that ends when the lease is lost.
func takeLease(ctx context.Context, rdb redis.UniversalClient, phoneNumberID, owner string) (*lease, context.Context, error) {
	l := &lease{rdb: rdb, key: key(phoneNumberID, keyLease), owner: owner}
	ok, err := l.set(ctx, LeaseTime, "1")
	if err != nil {
		return nil, nil, fmt.Errorf("reconcile: take the lease: %w", err)
	}
	if !ok {
		return nil, nil, fmt.Errorf("reconcile: %w", ErrRunning)
	}
	ctx, lose := context.WithCancelCause(ctx)
	renewing := keepUp(ctx, LeaseTime, func(ctx context.Context) (bool, error) { return l.set(ctx, LeaseTime, "0") },
		func() { lose(errLeaseLost) })
	l.giveBack = func() {
		lose(nil)
		<-renewing
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisTimeout)
		defer cancel()
		_, _ = l.set(after, 0, "0") // else it ends by itself
	}
	return l, ctx, nil
}

// check asks Redis whether the lease is still the caller's. A process that stood still for
// longer than it lasts may not have noticed yet, and what it has decided on is old.
func (l *lease) check(ctx context.Context) error {
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

// keepUp renews something of a lifetime until ctx ends, and calls lost when it was lost or
// could not be renewed in time. The channel is closed when it has ended.
func keepUp(ctx context.Context, lifetime time.Duration, renew func(context.Context) (bool, error), lost func()) <-chan struct{} {
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

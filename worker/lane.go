package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
)

// lane makes all of this worker's calls for one phone number ID.
type lane struct {
	w       *Worker
	number  PhoneNumber
	key     ratelimit.Key
	ledger  *ledger.Ledger
	gate    *gate
	watches *watches
	looker  *looker
	load    *load
	log     *slog.Logger

	// wake says that there may be somebody to claim.
	wake chan struct{}
	// slots bounds the calls in flight.
	slots chan struct{}
	// ended is closed when no call is in flight any more and none will begin.
	ended chan struct{}

	// answered is when an answer named users last, or a check passed, in Unix nanoseconds.
	answered atomic.Int64

	// unheard is the ID of a claim whose reply never came, "" for none, and claims counts them. run alone uses these.
	unheard string
	claims  int

	users int // handlers that hold the lane; lanes.mu guards it
	// refused is the token that the API refused last, nil for none.
	refused atomic.Pointer[secret.String]
	// probes spaces what is logged of probes that fail.
	probes complaints
}

func newLane(w *Worker, number PhoneNumber) *lane {
	l := ledger.New(w.cfg.Redis, number.ID)
	return &lane{
		w: w, number: number, key: ratelimit.Key{PhoneNumberID: number.ID, Account: number.Account},
		ledger: l, gate: newGate(), watches: newWatches(), looker: newLooker(l), load: newLoad(),
		log:  w.cfg.Logger.With(keyPhoneNumberID, number.ID),
		wake: make(chan struct{}, 1), slots: make(chan struct{}, maxCallsInLane), ended: make(chan struct{}),
	}
}

// poke makes the lane look for somebody to claim.
func (l *lane) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run makes calls until ctx ends, then waits for those in flight, which end with calls at the
// latest. It returns early when the lane has no work and retire agrees.
func (l *lane) run(ctx, calls context.Context, retire func() bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	background, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { l.looker.run(background) })
	wg.Go(func() { l.lookAgain(background) })

	worked, woken := time.Now(), true
	for ctx.Err() == nil {
		next, err := time.Duration(0), l.forgo(ctx)
		if err == nil {
			next, err = l.nobody(ctx, woken)
		}
		if next == 0 && err == nil {
			next, err = l.drain(ctx, calls, &wg)
		}
		if err != nil && ctx.Err() == nil {
			l.w.complain(l.log, "lane: Redis does not serve it; trying again", err)
			next = redisRetryDelay
		}
		if err != nil || !l.load.backlog().Empty() {
			worked = time.Now()
		} else if time.Since(worked) > l.w.lanes.idle() && retire() {
			return
		}
		timer, stopTimer := after(next)
		woken = false
		select {
		case <-ctx.Done():
		case <-l.wake:
			woken = true
		case <-timer:
		}
		stopTimer()
	}
}

// nobody returns when to look again if there is nobody to claim, and 0 if there may be. It
// spares a lane that only looks from time to time a token that a slow limit would miss.
func (l *lane) nobody(ctx context.Context, woken bool) (time.Duration, error) {
	if woken || l.load.backlog().Waiting() > 0 {
		return 0, nil
	}
	b, err := l.ledger.Backlog(ctx)
	if err != nil || b.Waiting() > 0 || b.NextDue == 0 {
		return 0, err
	}
	l.load.see(b)
	return nextLook(b), nil
}

// drain makes calls for as long as there is somebody to claim and leave to call, and returns
// when to come again, unless poked before.
func (l *lane) drain(ctx, calls context.Context, wg *sync.WaitGroup) (next time.Duration, err error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return 0, nil
		}
		started, next, err := l.begin(ctx, calls, wg)
		if !started {
			<-l.slots
		}
		if err != nil || next > 0 {
			return next, err
		}
	}
}

// begin starts one call. When it could not, next says when to come again.
func (l *lane) begin(ctx, calls context.Context, wg *sync.WaitGroup) (started bool, next time.Duration, err error) {
	adm, wait := l.gate.admit(time.Now())
	if wait > 0 {
		return false, l.closedFor(wait), nil
	}
	grant, err := l.w.cfg.Limiter.Take(ctx, l.key)
	if err != nil || !grant.OK {
		l.gate.unused(adm)
		l.load.limited(grant, time.Now())
		l.w.cfg.Metrics.Limited(l.number.ID, grant.Reason.String(), grant.Wait)
		return false, max(grant.Wait, time.Millisecond), err
	}
	asked := time.Now()
	claim, err := l.claim(ctx, adm, grant)
	if err != nil || len(claim.Users) == 0 {
		l.cancelGrant(ctx, grant)
		if err != nil {
			l.gate.unused(adm)
			return false, 0, err
		}
		l.gate.nobody(adm, time.Now())
		if adm.room {
			return false, time.Millisecond, nil // there may be unblocks
		}
		return false, nextLook(claim.Backlog), nil
	}
	if grant.FreshOnly && onlyRetries(claim.Users) {
		l.gate.unused(adm)
		l.cancelGrant(ctx, grant)
		l.putBack(ctx, claim.ID, claim.Users, grant.RetryIn)
		return false, time.Millisecond, nil
	}
	l.load.claimed(len(claim.Users), claim.Backlog, time.Now())
	l.w.cfg.Metrics.InFlight(l.number.ID, len(claim.Users))
	wg.Go(func() {
		defer func() {
			l.w.cfg.Metrics.InFlight(l.number.ID, -len(claim.Users))
			<-l.slots
			l.poke()
		}()
		c := call{lane: l, claimID: claim.ID, op: claim.Operation, admission: adm, until: l.w.callUntil(asked)}
		c.carryOut(calls, claim.Users, grant)
	})
	return true, 0, nil
}

// oldestEvery is how many claims go by the queues' order for one that goes by age alone. A call carries one operation:
// without it, an interactive block before every call would let no bulk unblock through.
const oldestEvery = 10

func (l *lane) claim(ctx context.Context, adm admission, grant ratelimit.Grant) (ledger.Claim, error) {
	// A claim whose reply nobody reads would hold its users until its deadline.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimMargin)
	defer cancel()
	limit := max(1, min(grant.MaxUsers, ledger.MaxBatch))
	if adm.max > 0 {
		limit = min(limit, adm.max)
	}
	id := l.w.nextClaimID()
	l.claims++
	claim, err := l.ledger.Claim(ctx, ledger.ClaimOptions{
		ID: id, Max: limit, Hold: l.w.claimHold(), Only: adm.only, Oldest: l.claims%oldestEvery == 0,
	})
	if err != nil {
		l.unheard = id
		return claim, err
	}
	l.load.see(claim.Backlog)
	l.w.cfg.Metrics.Backlog(l.number.ID, claim.Backlog)
	return claim, nil
}

// forgo puts back whom a claim may have taken whose reply never came.
func (l *lane) forgo(ctx context.Context) error {
	if l.unheard == "" {
		return nil
	}
	claim, err := l.ledger.Claim(ctx, ledger.ClaimOptions{ID: l.unheard, Max: 0, Hold: l.w.claimHold()})
	if err != nil {
		return err
	}
	l.unheard = ""
	l.putBack(ctx, claim.ID, claim.Users, 0)
	return nil
}

func (l *lane) cancelGrant(ctx context.Context, g ratelimit.Grant) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	if err := l.w.cfg.Limiter.Cancel(ctx, l.key, g); err != nil {
		l.w.complain(l.log, "lane: a grant could not be given back", err)
	}
}

// nextLook says when a lane that found nobody to claim comes again by itself.
func nextLook(b ledger.Backlog) time.Duration {
	if b.NextDue < 0 {
		return lanePoll
	}
	return min(max(b.NextDue, time.Millisecond), lanePoll)
}

func onlyRetries(users []ledger.Claimed) bool {
	for _, u := range users {
		if u.Attempts == 0 {
			return false
		}
	}
	return true
}

// closedFor says how long to wait while the gate is closed. A token that was refused is read
// again every so often, and tried at once when it has changed.
func (l *lane) closedFor(wait time.Duration) time.Duration {
	refused := l.refused.Load()
	if state, _, _ := l.gate.status(time.Now()); state != GateHalted || refused == nil {
		return wait
	}
	if _, err := l.number.Token.Reload(); err != nil {
		l.w.complain(l.log, "lane: the access token's file can't be read", err)
	}
	if l.number.Token.Get().Equal(*refused) {
		return min(wait, tokenPoll)
	}
	l.log.Info("lane: the access token has changed; trying it")
	l.refused.Store(nil)
	l.gate.reopen()
	return time.Millisecond
}

// expectedDelay is about how long a user that begins to wait in q now will wait.
func (l *lane) expectedDelay(q ledger.Queue) (time.Duration, string) {
	now := time.Now()
	if state, reason, wait := l.gate.status(now); state != GateOpen {
		return max(wait, longWait), fmt.Sprintf("%s: %s", state, reason)
	}
	return l.load.delay(q, now)
}

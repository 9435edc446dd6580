package lane

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/waiting"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// lane makes all of this worker's calls for one phone number ID.
type lane struct {
	cfg     *Config
	number  PhoneNumber
	ledger  *ledger.Ledger
	breaker *verdict.Breaker
	pauses  *pauses
	load    *load
	log     *slog.Logger
	// follower is told what becomes of users, for the handlers of their tasks.
	follower *follower

	wake   chan struct{} // there may be users to claim
	scarce chan struct{} // lanes are scarce: retire, if there is nothing to do
	slots  chan struct{} // bounds the calls in flight

	tokens   tokens
	claims   claims
	serving  serving         // run alone uses it
	expiring expiringWindows // run alone uses it

	refs         int // handlers using this lane; Pool.mu guards it
	refusedToken atomic.Pointer[secret.String]
}

// newLane returns a lane that is not run yet. token is false where there is none for the phone number ID, and account nil
// where it has none.
func newLane(cfg *Config, number PhoneNumber, token bool, account *account, breaker *verdict.Breaker, claimPrefix string) *lane {
	l := &lane{
		cfg: cfg, number: number, ledger: ledger.New(cfg.Redis, number.ID), breaker: breaker, load: new(load),
		log:  cfg.Logger.With(keyPhoneNumberID, number.ID),
		wake: make(chan struct{}, 1), scarce: make(chan struct{}, 1), slots: make(chan struct{}, maxCalls),
	}
	l.pauses = &pauses{rdb: cfg.Redis, id: number.ID, log: l.log}
	l.tokens = tokens{
		limiter: cfg.Limiter, key: ratelimit.Key{PhoneNumberID: number.ID, Account: number.Account, Worker: cfg.WorkerID},
		account: account, metrics: cfg.Metrics, log: l.log,
	}
	l.claims = claims{ledger: l.ledger, requestTimeout: cfg.RequestTimeout, prefix: claimPrefix}
	l.expiring = expiringWindows{redis: cfg.Redis, ledger: l.ledger, log: l.log}
	l.follower = newFollower(l.ledger, l.breaker, l.load, l.wakeUp, l.why, l.log)
	l.serving = serving{
		redis: cfg.Redis, workerID: cfg.WorkerID, phoneNumberID: number.ID, claimPrefix: claimPrefix, noToken: !token,
		elsewhere: &l.follower.elsewhere,
	}
	return l
}

// why describes the wait of a user that begins to wait now, by what this worker alone knows.
func (l *lane) why(op ledger.Operation, q ledger.Queue) string {
	now := time.Now()
	o := shown(l.number.ID, l.breaker.Status(now), now)
	l.load.show(&o)
	f := waiting.Facts{PhoneNumberID: l.number.ID, Now: now, Workers: 1, Lanes: []fleet.Lane{o}, Pauses: l.pauses.known()}
	u := waiting.User{Operation: op, Place: ledger.Place{InLine: true, Ahead: ledger.Ahead{Unblock: l.load.backlog().UpTo(q)}}}
	return f.Of(u).Text
}

// wakeUp makes the lane look for users to claim.
func (l *lane) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run makes calls until ctx ends, then waits for those in flight, which end with calls at the
// latest, and for their settling, which ends with settles. It returns early when retire agrees,
// which it asks with for how long the lane has had no work, and for how long it would sleep.
func (l *lane) run(ctx, calls, settles context.Context, retire func(idle, rest time.Duration) bool) {
	var wg sync.WaitGroup
	defer wg.Wait()
	background, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { l.follower.run(background) })

	c := callContext{calls: calls, settles: settles, lane: ctx}
	worked, woken := time.Now(), true
	for ctx.Err() == nil {
		next, err := l.serving.wait(ctx)
		if err == nil && next == 0 {
			err = l.claims.releaseUnacked(ctx)
		}
		if err == nil && next == 0 {
			next, err = l.idleFor(ctx, woken)
		}
		if next == 0 && err == nil {
			next, err = l.drain(ctx, c, &wg)
		}
		if err != nil && ctx.Err() == nil {
			l.log.Error("lane: Redis does not serve it; trying again", keyError, err.Error())
			next = redisRetryDelay
		}
		if err != nil || !l.load.backlog().Empty() {
			worked = time.Now()
		}
		var retired bool
		if woken, retired = l.sleep(ctx, next, worked, retire); retired {
			return
		}
	}
}

// sleep waits for d, or until the lane is woken or ctx ends, unless retire agrees before. It asks
// again when lanes get scarce.
func (l *lane) sleep(ctx context.Context, d time.Duration, worked time.Time, retire func(idle, rest time.Duration) bool) (woken, retired bool) {
	until := time.Now().Add(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		var idle time.Duration
		if l.load.backlog().Empty() {
			idle = time.Since(worked)
		}
		if retire(idle, time.Until(until)) {
			return false, true
		}
		select {
		case <-ctx.Done():
			return false, false
		case <-l.wake:
			return true, false
		case <-timer.C:
			return false, false
		case <-l.scarce:
		}
	}
}

// idleFor returns how long to sleep if no user waits in line, 0 if there may be work. Checking
// first avoids wasting a rate-limit token, which a slow limit would miss.
func (l *lane) idleFor(ctx context.Context, woken bool) (time.Duration, error) {
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

// drain makes calls for as long as there are users to claim and the limiter and the breaker allow
// it, and returns when to come again, unless woken before.
func (l *lane) drain(ctx context.Context, c callContext, wg *sync.WaitGroup) (next time.Duration, err error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-ctx.Done():
			return 0, nil
		}
		do, next, err := l.begin(ctx, c)
		if do == nil {
			<-l.slots
			if err != nil || next > 0 {
				return next, err
			}
			continue
		}
		wg.Go(func() {
			defer func() {
				<-l.slots
				l.wakeUp()
			}()
			do()
		})
	}
}

// begin returns a call to make. When there is none, next says when to come again.
func (l *lane) begin(ctx context.Context, c callContext) (do func(), next time.Duration, err error) {
	t, next, err := l.ticket(ctx)
	if err != nil || next > 0 {
		return nil, next, err
	}
	switch {
	case t.admission.Probe == verdict.ListProbe:
		return func() { l.probe(c.calls, t.admission, t.grant) }, 0, nil
	case t.admission.Probe == verdict.NoProbe && probes(t.grant) && l.breaker.LimitedAlone():
		l.breaker.Release(t.admission)
		return func() { l.checkLimit(c.calls, t.grant) }, 0, nil
	}
	asked := time.Now()
	claim, t, err := l.claimUsers(ctx, t)
	if err != nil || len(claim.Users) == 0 {
		l.giveBack(ctx, t)
		return nil, comeAgain(claim, t.grant, l.breaker.Status(time.Now())), err
	}
	l.load.claimed(len(claim.Users), claim.Backlog, time.Now())
	return func() {
		l.cfg.Metrics.InFlight(l.number.ID, len(claim.Users))
		defer l.cfg.Metrics.InFlight(l.number.ID, -len(claim.Users))
		k := claimRun{
			unsettled: unsettled{
				lane: l, ctx: c, claimID: claim.ID, op: claim.Operation, admission: t.admission, until: l.claims.callUntil(asked),
			},
			others: claim.Backlog.Waiting() > 0, places: t.admission.Room,
		}
		k.run(claim.Users, t.grant)
	}, 0, nil
}

// ticket asks breaker, operators and limiter, in this order, whether a call may go. When it may not, next says when to come
// again.
func (l *lane) ticket(ctx context.Context) (t ticket, next time.Duration, err error) {
	admitted, wait := l.breaker.Admit(time.Now())
	if wait > 0 {
		return ticket{}, l.openFor(wait), nil
	}
	adm, ok, err := l.pauses.narrow(ctx, admitted)
	if err != nil || !ok || admitted.Room && !adm.Room {
		l.breaker.Release(admitted)
	}
	if err != nil || !ok {
		return ticket{}, pausePoll, err
	}
	grant, wait, err := l.tokens.take(ctx)
	if err != nil || !grant.OK {
		l.breaker.Release(adm)
		l.load.noteRefusal(grant, time.Now())
		return ticket{}, wait, err
	}
	return ticket{adm, grant}, 0, nil
}

// giveBack returns a ticket for which no call was made.
func (l *lane) giveBack(ctx context.Context, t ticket) {
	l.breaker.Release(t.admission)
	l.tokens.giveBack(ctx, t.grant)
}

// claimUsers claims the users of one call. Where the ticket is for blocks of a full list, and none wait or another worker
// tries one, it becomes one for unblocks.
func (l *lane) claimUsers(ctx context.Context, t ticket) (claim ledger.Claim, _ ticket, err error) {
	if t.admission.Only != ledger.Unblock {
		l.expiring.hasten(ctx)
	}
	elsewhere := false
	if t.admission.Trial() {
		elsewhere, err = l.triedElsewhere(ctx)
	}
	if err == nil && !elsewhere {
		claim, err = l.claim(ctx, t)
	}
	if err != nil || len(claim.Users) > 0 || !t.admission.Room {
		return claim, t, err
	}
	if elsewhere {
		l.breaker.TriedElsewhere(t.admission, time.Now())
	} else {
		l.breaker.Release(t.admission)
	}
	adm, ok, err := l.pauses.narrow(ctx, verdict.Admission{Only: ledger.Unblock})
	t.admission = adm
	if ok {
		claim, err = l.claim(ctx, t)
	}
	return claim, t, err
}

// triedElsewhere notes in Redis that this worker tries whether a full list has room, and reports whether another one has just
// done so.
func (l *lane) triedElsewhere(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, redisRetryDelay)
	defer cancel()
	key := "wablock:{" + l.number.ID + "}:full:trial"
	err := l.cfg.Redis.SetArgs(ctx, key, l.claims.prefix, redis.SetArgs{Mode: "NX", TTL: verdict.TrialEvery}).Err()
	if errors.Is(err, redis.Nil) {
		return true, nil
	}
	return false, err
}

// claim claims users, and notes what is left.
func (l *lane) claim(ctx context.Context, t ticket) (ledger.Claim, error) {
	claim, err := l.claims.claim(ctx, t)
	if err == nil {
		l.load.see(claim.Backlog)
		l.cfg.Metrics.Backlog(l.number.ID, claim.Backlog)
	}
	return claim, err
}

// comeAgain is the time until a lane that claimed no user looks again.
func comeAgain(claim ledger.Claim, grant ratelimit.Grant, s verdict.Status) time.Duration {
	next := nextLook(claim.Backlog)
	switch {
	case claim.Resting > 0 && claim.Backlog.Waiting() > 0: // perhaps users that were never tried, or not kept back
		next = time.Millisecond
	case grant.FreshOnly:
		next = max(next, grant.RetryIn)
	}
	if s.State == verdict.Full && s.Wait > 0 {
		next = min(next, s.Wait) // the next trial for room
	}
	return next
}

// probe finds out with a list call whether the API serves the phone number ID.
func (l *lane) probe(ctx context.Context, adm verdict.Admission, grant ratelimit.Grant) {
	v := l.check(ctx, grant)
	if v.Err != nil {
		l.log.Warn("probe failed", keyOutcome, v.Outcome, keyError, v.Err.Error())
	}
	l.report(adm, "", nil, v)
}

// checkLimit finds out with a list call, in place of the one user that alone was limited, whether a pause is over.
func (l *lane) checkLimit(ctx context.Context, grant ratelimit.Grant) {
	if l.check(ctx, grant).Sign == verdict.SignServed {
		l.breaker.ListServed()
	}
}

// check makes the cheapest call that needs the same access as those of users.
func (l *lane) check(ctx context.Context, grant ratelimit.Grant) verdict.Verdict {
	timeout, cancel := context.WithTimeout(ctx, l.cfg.RequestTimeout)
	defer cancel()
	v := verdict.ReadCheck(l.number.API.Check(timeout, l.number.ID), l.number.Listed)
	l.load.called(v.Sign == verdict.SignServed, time.Now())
	l.tokens.report(ctx, grant, v)
	return v
}

// report tells the breaker what came of a call, and logs and counts a change of state.
func (l *lane) report(adm verdict.Admission, op ledger.Operation, users []ledger.Claimed, v verdict.Verdict) {
	if v.Sign == verdict.SignHalted {
		token := l.number.Token.Get()
		l.refusedToken.Store(&token)
	}
	if l.number.Advice != nil && v.Err != nil {
		v.Help = l.number.Advice(v.Err, v.Help)
	}
	if !l.breaker.Report(adm, op, users, v, time.Now()) {
		return
	}
	now := time.Now()
	s := l.breaker.Status(now)
	l.cfg.Metrics.LaneState(l.number.ID, string(s.State))
	why := waiting.Stopped(shown(l.number.ID, s, now))
	switch s.State {
	case verdict.Running:
		l.log.Info("lane: calls go again", keyState, s.State)
	case verdict.Full:
		l.log.Warn("lane: the blocklist is full: blocks wait until there is room, unblocks go on", keyState, s.State, keyReason, why, keyWait, s.Wait)
	case verdict.Halted, verdict.Outage:
		l.log.Error("lane: calls stop until a probe succeeds; no work is lost", keyState, s.State, keyReason, why, keyWait, s.Wait)
	}
}

// nextLook is the time until a lane that found no user to claim comes again by itself.
func nextLook(b ledger.Backlog) time.Duration {
	if b.NextDue < 0 {
		return idlePoll
	}
	return min(max(b.NextDue, time.Millisecond), idlePoll)
}

// openFor is the time to wait while the breaker is open. A token that was refused is read again
// every so often, and tried at once when it has changed.
func (l *lane) openFor(wait time.Duration) time.Duration {
	refused := l.refusedToken.Load()
	if refused == nil || l.breaker.Status(time.Now()).State != verdict.Halted {
		return wait
	}
	if _, err := l.number.Token.Reload(); err != nil {
		l.log.Error("lane: the access token's file can't be read", keyError, err.Error())
	}
	if l.number.Token.Get().Equal(*refused) {
		return min(wait, tokenPoll)
	}
	l.log.Info("lane: the access token has changed; trying it")
	l.refusedToken.Store(nil)
	l.breaker.ProbeNow()
	return time.Millisecond
}

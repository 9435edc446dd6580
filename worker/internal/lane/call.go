package lane

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/protect"
	"github.com/wablock/wablock/tasks/traces"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// claimRun carries out one claim: in one request, or in several when one user sinks it.
type claimRun struct {
	unsettled
	others bool // further users wait in line
	places bool // its users go into places of a full list
	served bool // some of the users were
	sunk   int  // parts that were called in halves, one after another, with none served in between
	// checked is the last list call, made at checkedAt.
	checked   verdict.Check
	checkedAt time.Time
}

// run sends the users of a claim and settles them: in one request under the grant, or in halves,
// and halves of halves, each under a token of its own.
func (c *claimRun) run(users []ledger.Claimed, grant ratelimit.Grant) {
	if users = c.leaveClosed(c.leaveProtected(users)); len(users) == 0 {
		c.breaker.Release(c.admission)
		c.tokens.giveBack(c.ctx.calls, grant)
		return
	}
	var back []ledger.Claimed
	if c.left, back = verdict.Apart(users, probes(grant)); len(back) > 0 {
		c.putBackAll(0, back)
		c.wakeUp() // for them, while this call may hang
	}
	for ok := true; ok; grant, ok = c.next() {
		v := c.request(c.left[0], grant)
		part := c.left[0]
		c.left = c.left[1:]
		switch v.Split {
		case verdict.Halves:
			first, second := verdict.Parts(part)
			if c.sunk++; c.sunk > 2 { // perhaps none is served: the shortest way to one user will show
				c.left = slices.Insert(c.left, 0, first, second)
			} else {
				c.left = append(c.left, first, second)
			}
		case verdict.FirstHalf:
			c.putBackAll(0, part[len(part)/2:])
			c.left = append(c.left, part[:len(part)/2])
		case verdict.NoSplit:
			if n := len(v.CallAgain); n > 0 {
				part = without(part, v.CallAgain)
				c.left = append(c.left, v.CallAgain[:n/2], v.CallAgain[n/2:]) // an empty one goes before the next call
			}
			if len(part) > 0 {
				c.settle(part, v)
			}
		}
		if v.Sign == verdict.SignServed {
			c.sunk, c.served = 0, true
		}
		if v.Full || v.Observation.Limited { // no other part has a chance; others may find out when a pause is over
			c.putBackAll(0, c.left...)
			return
		}
	}
}

// leaveProtected dead-letters the protected ones among users who are to be blocked, and returns the others. Where
// the lists can't be read no call is made: all users wait again.
func (c *claimRun) leaveProtected(users []ledger.Claimed) []ledger.Claimed {
	if c.op != ledger.Block {
		return users
	}
	ctx, cancel := context.WithTimeout(c.ctx.calls, redisRetryDelay)
	defer cancel()
	found, err := protect.Check(ctx, c.cfg.Redis, c.number.ID, idsOf(users))
	if err != nil {
		c.log.Error("lane: the lists of protected users can't be read; the call waits", keyError, err.Error())
		c.putBackAll(redisRetryDelay, users)
		return nil
	}
	others := c.endUncalled(users, protectedFailures(found, time.Now()))
	if n := len(users) - len(others); n > 0 {
		c.log.Warn("lane: protected users are not blocked; they go into the dead-letter queue", keyUsers, n)
	}
	return others
}

// leaveClosed dead-letters those among users who are to be blocked whose windows are known to be closed, and returns the
// others. Where Redis does not tell, all are called for.
func (c *claimRun) leaveClosed(users []ledger.Claimed) []ledger.Claimed {
	if !c.cfg.ParkClosedWindows || c.op != ledger.Block || len(users) == 0 {
		return users
	}
	ctx, cancel := context.WithTimeout(c.ctx.calls, redisRetryDelay)
	closed, err := windows{c.cfg.Redis, c.ledger, c.number.ID}.closed(ctx, users)
	cancel()
	if err != nil {
		c.log.Warn("lane: it can't be read who has not written; all are called for", keyUsers, len(users), keyError, err.Error())
		return users
	}
	others := c.endUncalled(users, parkedFailures(closed, time.Now()))
	if n := len(users) - len(others); n > 0 {
		c.log.Info("lane: users who have not written are parked without a call, until they write", keyUsers, n)
	}
	return others
}

// endUncalled dead-letters those among users that have a failure, and returns the others.
func (c *claimRun) endUncalled(users []ledger.Claimed, failures map[user.ID]*ledger.Failure) []ledger.Claimed {
	if len(failures) == 0 {
		return users
	}
	dead, others, v := uncalledAmong(users, failures)
	c.settle(dead, v)
	return others
}

// without returns users but those in again, which has some of them, in order.
func without(users, again []ledger.Claimed) []ledger.Claimed {
	kept := make([]ledger.Claimed, 0, len(users)-len(again))
	for _, u := range users {
		if len(again) > 0 && u.User == again[0].User {
			again = again[1:]
			continue
		}
		kept = append(kept, u)
	}
	return kept
}

// putBackAll lets users wait again, for delay at least. As settle does, it tries for as long as the claim lasts.
func (c *claimRun) putBackAll(delay time.Duration, parts ...[]ledger.Claimed) {
	for _, part := range parts {
		ctx, cancel := context.WithTimeout(c.ctx.settles, c.claims.lasts())
		err := c.persist(ctx, func() error { return c.claims.putBack(ctx, c.claimID, part, delay) })
		cancel()
		if err != nil {
			c.log.Error("lane: users could not be put back; they wait until their claim ends", keyUsers, len(part), keyError, err.Error())
		}
	}
}

// next returns a token for the next part. When there is none, or the calls must stop, the users
// that are left wait again.
func (c *claimRun) next() (ratelimit.Grant, bool) {
	if !c.trim() {
		return ratelimit.Grant{}, false
	}
	grant, ok := c.token()
	if !ok {
		c.putBackAll(0, c.left...)
		return ratelimit.Grant{}, false
	}
	if !c.trim() {
		c.tokens.giveBack(c.ctx.calls, grant)
		return ratelimit.Grant{}, false
	}
	return grant, true
}

// request makes one request, and reports what came of it to limiter, breaker, log and metrics.
func (c *claimRun) request(users []ledger.Claimed, grant ratelimit.Grant) verdict.Verdict {
	started := time.Now()
	ctx, span := traces.Call(c.ctx.calls, traces.Work{PhoneNumberID: c.number.ID, Operation: string(c.op), Users: len(users)})
	res, err := c.send(ctx, users)
	took := time.Since(started)
	if time.Since(c.checkedAt) > checkedFor {
		c.checked = verdict.Check{}
	}
	probe := probes(grant)
	v := verdict.Read(c.op, users, res, err, c.policy(users, probe))
	if v.Full && c.noteFull() {
		p := c.policy(users, probe)
		p.Evidence.WasFull = true
		v = verdict.Read(c.op, users, res, err, p)
	}
	c.tokens.report(c.ctx.calls, grant, v)
	if probe { // others may go now, and need not wait for the users to be settled
		c.wakeUp()
	}
	if v.NeedsCheck {
		c.checked, c.checkedAt = c.confirmCause(), time.Now()
		v = verdict.Read(c.op, users, res, err, c.policy(users, probe))
	}
	c.load.called(v.Sign == verdict.SignServed, time.Now())
	c.report(c.admission, c.op, users, v)
	c.admission.Room = false // of one request
	if span.IsRecording() {
		traces.Link(span, c.traceparents(users)...)
	}
	traces.End(span, v.Outcome, v.Err)
	c.logCall(ctx, len(users), v, took)
	c.cfg.Metrics.Call(c.number.ID, string(c.op), v.Outcome, len(users), took, traces.Recorded(ctx))
	return v
}

// traceparents returns the traceparents of the requests that a call carries out, as far as Redis tells them.
func (c *claimRun) traceparents(users []ledger.Claimed) (traceparents []string) {
	versions := make([]ledger.Version, len(users))
	for i, u := range users {
		versions[i] = u.Version
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	ctx, cancel := context.WithTimeout(c.ctx.settles, redisRetryDelay)
	defer cancel()
	jobs, err := c.ledger.JobsOf(ctx, versions[:min(len(versions), traces.MaxLinks)])
	if err != nil {
		return nil // a span without links is better than a late settlement
	}
	for _, j := range jobs {
		traceparents = append(traceparents, j.Traceparent)
	}
	return traceparents
}

// noteFull notes in Redis that the blocklist was found full, and reports whether it was before, by
// any worker: only the first find dead-letters the blocks that were refused. While Redis does not
// tell, they wait.
func (c *claimRun) noteFull() bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx.calls), redisRetryDelay)
	defer cancel()
	err := c.cfg.Redis.SetArgs(ctx, "wablock:{"+c.number.ID+"}:full", c.claims.prefix, redis.SetArgs{Get: true, TTL: fullFor}).Err()
	return !errors.Is(err, redis.Nil)
}

func (c *claimRun) send(ctx context.Context, users []ledger.Claimed) (*client.Result, error) {
	timeout := min(c.cfg.RequestTimeout, time.Until(c.until))
	if timeout <= 0 {
		return nil, verdict.ErrLate
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ids := idsOf(users)
	if c.op == ledger.Block {
		return c.number.API.Block(ctx, c.number.ID, ids)
	}
	return c.number.API.Unblock(ctx, c.number.ID, ids)
}

// confirmCause tells a bad user of the call from an error that fails every call, with one cheap
// list call. Else a wrong setting would dead-letter all users one by one.
func (c *claimRun) confirmCause() verdict.Check {
	grant, ok := c.token() // the users of the call are in the first part, and stay claimed
	if !ok {
		return verdict.Check{Done: true, Err: verdict.ErrNotChecked}
	}
	return verdict.Check{Done: true, Err: c.check(c.ctx.calls, grant).Err}
}

func (c *claimRun) policy(users []ledger.Claimed, probe bool) verdict.Policy {
	return verdict.Policy{
		MaxAttempts: c.cfg.MaxAttempts, RetryDelay: c.cfg.RetryDelay, Listed: c.number.Listed,
		Check: c.checked, Evidence: c.breaker.Evidence(users, probe), Places: c.places, Others: c.others, Parts: len(c.left) > 1, PartServed: c.served, Now: time.Now(), Jitter: rand.Float64,
	}
}

func (c *claimRun) logCall(ctx context.Context, users int, v verdict.Verdict, took time.Duration) {
	log := c.log.With(keyOperation, c.op, keyUsers, users, keySucceeded, v.Succeeded, keyTook, took.Round(time.Microsecond).String())
	if id := traces.ID(ctx); id != "" {
		log = log.With(keyTraceID, id)
	}
	if v.Err == nil {
		log.Info("call")
		return
	}
	log.Warn("call failed", keyOutcome, v.Outcome, keyError, v.Err.Error())
}

// settle writes what became of users to the ledger, the dead to the dead-letter queue, and tells
// the tasks that wait. While Redis fails it tries again until the claim is lost anyway: then
// the users wait again, and a repeated call does no harm.
func (c *claimRun) settle(users []ledger.Claimed, v verdict.Verdict) {
	ctx, cancel := context.WithTimeout(c.ctx.settles, c.claims.lasts()+claimMargin)
	defer cancel()
	for i := range v.Settlements {
		v.Settlements[i].Effect = c.effect(v, v.Settlements[i])
	}
	var settled []ledger.Settled
	err := c.persist(ctx, func() (err error) {
		settled, err = c.ledger.Settle(ctx, c.claimID, v.Settlements)
		return err
	})
	if err != nil {
		c.log.Error("lane: a call's outcome could not be written; its users are tried again", keyUsers, len(users), keyError, err.Error())
		return
	}
	var dead []deadletter.Letter
	var died []ledger.Entry
	var succeeded []user.ID
	late := 0
	for i, s := range settled {
		if s.Repeats {
			late++
		}
		switch s.State {
		case ledger.Succeeded:
			succeeded = append(succeeded, users[i].User)
		case ledger.Dead:
			if v.Settlements[i].Do != ledger.Kill {
				continue // the claim was lost, and the one that took over killed the user
			}
			dead = append(dead, c.deadLetter(users[i], s, v.Settlements[i].Failure))
			died = append(died, ledger.Entry{User: users[i].User, WaID: v.Settlements[i].WaID, Failure: v.Settlements[i].Failure})
		default:
		}
		c.cfg.Metrics.Settled(c.number.ID, string(c.op), s.State.String(), codeOf(v.Settlements[i].Failure), 1)
	}
	if late > 0 {
		c.logLate(late)
	}
	c.learn(ctx, v.Settlements)
	err = c.persist(ctx, func() error {
		return errors.Join(c.cfg.Dead.Put(ctx, dead...), c.cfg.Dead.Remove(ctx, c.number.ID, succeeded...))
	})
	if err != nil {
		c.log.Error("lane: the dead-letter queue could not be written; the users' tasks do it later", keyUsers, len(dead), keyError, err.Error())
		return // no watch is told, so that the tasks look again
	}
	if c.cfg.Died != nil && len(died) > 0 {
		c.cfg.Died(ctx, c.number.ID, died)
	}
	for i, s := range settled {
		c.follower.watches.settled(users[i].User, users[i].Version, s.State, codeOf(v.Settlements[i].Failure))
	}
}

// learn takes in which users the API knows by another name than the call's: further requests under both are for one
// user. Without it the ledger goes by what settling wrote.
func (c *claimRun) learn(ctx context.Context, settlements []ledger.Settlement) {
	var told []ledger.Named
	for _, s := range settlements {
		if n, ok := ledger.NewName(s.User, s.WaID, time.Now()); ok {
			told = append(told, n)
		}
	}
	if _, err := c.ledger.Join(ctx, told, c.cfg.Names); err != nil {
		c.log.Warn("lane: names that the API told could not be kept; a later answer tells them again", keyUsers, len(told), keyError, err.Error())
	}
}

// effect returns what a call has, or may have, done to a user: "" if it certainly did nothing.
func (c *claimRun) effect(v verdict.Verdict, s ledger.Settlement) ledger.Operation {
	refused := (v.Err == nil || v.NamesAllFailed) && s.Do != ledger.Succeed && s.Failure != nil && s.Failure.Code != 0
	if refused || errors.Is(v.Err, verdict.ErrLate) || errors.Is(v.Err, errNotCalled) {
		return ""
	}
	return c.op
}

// persist repeats do until it succeeds or ctx ends.
func (c *claimRun) persist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		c.log.Error("lane: Redis fails; trying again", keyError, err.Error())
		if sleepFor(ctx, redisRetryDelay); ctx.Err() != nil {
			return err
		}
	}
}

func (c *claimRun) deadLetter(u ledger.Claimed, s ledger.Settled, f *ledger.Failure) deadletter.Letter {
	return deadletter.Of(c.number.ID, ledger.Entry{
		User: u.User, Operation: c.op, Version: u.Version, Attempts: s.Attempts,
		FirstFailedAt: s.FirstFailedAt, SettledAt: time.UnixMilli(f.At), Failure: f,
	})
}

func codeOf(f *ledger.Failure) int {
	if f == nil {
		return 0
	}
	return f.Code
}

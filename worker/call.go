package worker

import (
	"context"
	"errors"
	"time"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/config/secret"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/deadletter"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// call carries out one claim: in one request, or in several when one user sinks it.
type call struct {
	*lane
	claimID   string
	op        ledger.Operation
	admission admission
	// left are those that have not been settled, in parts that go out one by one, the last first.
	left [][]ledger.Claimed
	// until is when no request may be out any more: the claim on those left ends a little later.
	until time.Time
}

// claimHold is how long a claim lasts that is made now.
func (w *Worker) claimHold() time.Duration { return w.cfg.RequestTimeout + claimMargin }

// callUntil is when the last request must have ended under a claim that was asked for at that
// time. One half of the margin is for a Redis that answers slowly, the other for clocks.
func (w *Worker) callUntil(asked time.Time) time.Time {
	return asked.Add(w.cfg.RequestTimeout + claimMargin/2)
}

// once makes one request, and tells limiter and gate what came of it.
func (c *call) once(ctx context.Context, users []ledger.Claimed, grant ratelimit.Grant) judgement {
	started, token := time.Now(), c.number.Token.Get()
	res, err := c.send(ctx, users)
	if res == nil && err == nil {
		err = errNoResult
	}
	c.tellLimiter(ctx, grant, users, res, err)
	err = c.blame(ctx, res, err)
	eff := effectOf(err, c.rule(err))
	if res != nil && namesAnyone(res) {
		eff = effectServed
	}
	uncounted := c.tellGate(c.admission, eff, err, token)
	j := judge(users, res, err, c.policy(uncounted))
	if c.gate.listFull(c.admission, j.full, err == nil && c.op == ledger.Unblock && j.succeeded > 0 || c.admission.room && j.succeeded > 0, time.Now()) {
		c.log.Warn("lane: the blocklist's room has changed", keyFull, c.gate.isFull())
	}
	c.logCall(len(users), j, time.Since(started), err)
	c.w.cfg.Metrics.Call(string(c.op), outcomeName(err), len(users), time.Since(started))
	return j
}

func (c *call) logCall(users int, j judgement, took time.Duration, err error) {
	log := c.log.With(keyOperation, c.op, keyUsers, users, keySucceeded, j.succeeded, keyTook, took.Round(time.Microsecond).String())
	if err != nil {
		if c.admission.probe { // the gate's change has been logged, and an outage may last for days
			repeated, due := c.probes.due("", probesEvery)
			if !due {
				return
			}
			log = log.With(keyRepeated, repeated)
		}
		log.Warn("call failed", keyOutcome, outcomeName(err), keyError, err.Error())
		return
	}
	log.Info("call")
}

// errNoResult is an API that answers nothing at all, which the client never does.
var errNoResult = errors.New("worker: the client gave neither a result nor an error")

// errLate is a call that was not made, since the claim's end is too near: Redis, or this process,
// was stopped for a while. Its users are tried again.
var errLate = errors.New("worker: it is too late for the call: its claim ends")

func (c *call) send(ctx context.Context, users []ledger.Claimed) (*client.Result, error) {
	timeout := min(c.w.cfg.RequestTimeout, time.Until(c.until))
	if timeout <= 0 {
		return nil, errLate
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ids := make([]user.ID, len(users))
	for i, u := range users {
		ids[i] = u.User
	}
	if c.op == ledger.Block {
		return c.number.API.Block(ctx, c.number.ID, ids)
	}
	return c.number.API.Unblock(ctx, c.number.ID, ids)
}

// tellGate reports whether an outage is not to be counted among the users' attempts.
func (c *call) tellGate(adm admission, eff effect, err error, token secret.String) (uncounted bool) {
	if eff == effectHalt {
		c.refused.Store(&token)
	}
	uncounted, changed := c.gate.report(adm, eff, c.rule(err).Name, time.Now())
	if changed {
		state, reason, wait := c.gate.status(time.Now())
		c.w.cfg.Metrics.LaneState(c.number.ID, string(state))
		if state == GateOpen {
			c.log.Info("lane: calls get through again")
		} else {
			c.log.Error("lane: calls stop until a probe gets through; nothing is lost", keyState, state,
				keyReason, reason, keyHelp, c.rule(err).Help, keyWait, wait)
		}
	}
	return uncounted
}

func (c *call) tellLimiter(ctx context.Context, g ratelimit.Grant, users []ledger.Claimed, res *client.Result, err error) {
	meta, remedy, served := client.MetaOf(err), client.Retry, err == nil
	if err != nil {
		remedy, served = c.rule(err).Remedy, effectOf(err, c.rule(err)) == effectServed
	}
	limited := remedy == client.RateLimit || remedy == client.AccountRateLimit
	if res != nil {
		meta, limited = res.Meta, limited || limitsAnyone(res)
		served = served || namesAnyone(res)
	}
	o := ratelimit.Observation{
		Users:        len(users),
		Limited:      limited,
		Account:      remedy == client.AccountRateLimit,
		RetryAfter:   max(meta.RetryAfter, meta.Usage.RegainAccess),
		UsagePercent: meta.Usage.Percent(),
		Retry:        len(users) > 0 && onlyRetries(users),
		Served:       served && !limited,
	}
	if o.Limited {
		c.w.cfg.Metrics.RateLimitHit(c.number.ID, c.rule(err).Scope.String())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	if err := c.w.cfg.Limiter.Report(ctx, c.key, g, o); err != nil {
		c.w.complain(c.log, "lane: the limiter could not be told of a call", err)
	}
}

// settle writes down what became of users, puts the dead into the dead-letter queue, and tells
// the tasks that wait. While Redis fails it tries again until the claim is lost anyway: then
// the users wait again, and a repeated call does no harm.
func (c *call) settle(ctx context.Context, users []ledger.Claimed, j judgement) {
	ctx, cancel := c.w.lanes.settling(ctx)
	defer cancel()
	var settled []ledger.Settled
	err := c.w.persist(ctx, c.log, func() (err error) {
		settled, err = c.ledger.Settle(ctx, c.claimID, j.settlements)
		return err
	})
	if err != nil {
		c.log.Error("lane: a call's outcome could not be written down; its users are tried again", keyUsers, len(users), keyError, err.Error())
		return
	}
	var dead []deadletter.Letter
	var succeeded []user.ID
	for i, s := range settled {
		switch s.State {
		case ledger.Succeeded:
			succeeded = append(succeeded, users[i].User)
		case ledger.Dead:
			if j.settlements[i].Verdict != ledger.Kill {
				continue // the claim was lost, and who has it now made the user dead
			}
			dead = append(dead, c.deadLetter(users[i], s, j.settlements[i].Failure))
		default:
		}
		c.w.cfg.Metrics.Settled(string(c.op), s.State.String(), codeOf(j.settlements[i].Failure), 1)
	}
	err = c.w.persist(ctx, c.log, func() error {
		return errors.Join(c.w.dead.Put(ctx, dead...), c.w.dead.Remove(ctx, c.number.ID, succeeded...))
	})
	if err != nil {
		c.log.Error("lane: the dead-letter queue could not be written; the users' tasks do it later", keyUsers, len(dead), keyError, err.Error())
		return // nobody is told, so that the tasks look again
	}
	for i, s := range settled {
		c.watches.settled(users[i].User, users[i].Version, s.State, codeOf(j.settlements[i].Failure))
	}
}

func (c *call) deadLetter(u ledger.Claimed, s ledger.Settled, f *ledger.Failure) deadletter.Letter {
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

// putBack lets users wait again, with no attempt used up.
func (l *lane) putBack(ctx context.Context, claimID string, users []ledger.Claimed, delay time.Duration) {
	back := make([]ledger.Settlement, len(users))
	for i, u := range users {
		back[i] = ledger.Settlement{User: u.User, Version: u.Version, Verdict: ledger.Wait, Delay: delay}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisRetryDelay)
	defer cancel()
	if _, err := l.ledger.Settle(ctx, claimID, back); err != nil {
		l.w.complain(l.log, "lane: users could not be put back; they wait until their claim ends", err)
	}
}

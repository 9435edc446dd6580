package model_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const alice = "+16505550001"

// replay does on a real ledger what the model does.
type replay struct {
	*ledger.Ledger
	ctx    context.Context
	t      *rapid.T
	rdb    redis.UniversalClient
	user   user.ID
	prefix string
	Protocol
	claims int
	held   [Workers]ledger.Claim
}

// TestScriptsDoAsTheModel walks the model at random, and the scripts with it.
func TestScriptsDoAsTheModel(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		var mu sync.Mutex
		walks, kinds := 0, map[Kind]bool{}
		walk := func(rt *rapid.T) {
			mu.Lock()
			walks++
			id := fmt.Sprintf("1%014d", walks) // a ledger of its own for each walk
			mu.Unlock()
			p := Protocol{Blocks: alternating, Unruly: rapid.Bool().Draw(rt, "unruly"), Timed: rapid.Bool().Draw(rt, "timed")}
			r := newReplay(t.Context(), rt, rdb, id, p)
			s := Start()
			for range rapid.IntRange(5, 30).Draw(rt, "steps") {
				moves := p.Next(s)
				if len(moves) == 0 {
					break // everything has ended
				}
				mu.Lock()
				fresh := slices.DeleteFunc(slices.Clone(moves), func(m Move) bool { return kinds[m.Step.Kind] })
				mu.Unlock()
				if len(fresh) > 0 && rapid.Bool().Draw(rt, "rare") {
					moves = fresh // left to chance, one kind or another may not come to pass
				}
				m := rapid.SampledFrom(moves).Draw(rt, "move")
				r.do(m.Step, s, m.To)
				s = m.To
				r.compare(m.Step, s)
				r.probe(s)
				mu.Lock()
				kinds[m.Step.Kind] = true
				mu.Unlock()
			}
		}
		const all = 23
		// One round of walks misses a rare kind in a few runs of a hundred: ten rounds do so if it can't come to pass.
		for range 10 {
			rapid.Check(t, walk)
			if t.Failed() || len(kinds) == all {
				break
			}
		}
		if len(kinds) != all {
			t.Errorf("%d of %d kinds of steps came to pass", len(kinds), all)
		}
	})
}

func newReplay(ctx context.Context, t *rapid.T, rdb redis.UniversalClient, id string, p Protocol) *replay {
	who, err := user.FromCanonical(alice)
	if err != nil {
		t.Fatal(err)
	}
	return &replay{
		Ledger: ledger.New(rdb, id), ctx: ctx, t: t, rdb: rdb, user: who,
		prefix: "wablock:{" + id + "}:", Protocol: p,
	}
}

// do takes one step, from one state of the model to the next.
func (r *replay) do(step Step, from, to State) {
	switch step.Kind {
	case Mark:
		r.mark(to, step.Version)
	case Sweep:
		r.claim(0)
	case TakeOver:
		if n := r.takeOver(); n != 1 {
			r.t.Fatalf("%v: %d users", step, n)
		}
	case Outlast:
		r.outlast()
	case KeepBack:
		if c := r.claim(1); len(c.Users) != 0 || c.Resting != 1 {
			r.t.Fatalf("%v: %+v", step, c)
		}
	case End:
		if _, err := r.EndBlocks(r.ctx, 1); err != nil {
			r.t.Fatal(err)
		}
	case Pass:
		if err := r.rdb.ZAdd(r.ctx, r.prefix+"later", redis.Z{Score: 1, Member: alice}).Err(); err != nil {
			r.t.Fatal(err)
		}
	case Claim, ClaimLost:
		c := r.claim(1)
		if len(c.Users) != 1 || version(c.Users[0].Version) != to.Version {
			r.t.Fatalf("%v: %+v", step, c)
		}
		r.held[step.Worker] = c
	case ClaimAgain:
		c := r.claimAs(r.held[step.Worker].ID, 1)
		holds := to.Workers[step.Worker].Phase == Holding
		if holds != (len(c.Users) == 1) || holds && version(c.Users[0].Version) != to.Version {
			r.t.Fatalf("%v: %+v, in the model %v", step, c, to)
		}
	case Renew:
		r.renew(step, from, to)
	case SettleOK, SettleNow, SettleLater, SettleDead:
		r.settle(step, from, to)
	default: // between a worker and the API alone
	}
}

// takeOver takes all claims over.
func (r *replay) takeOver() int {
	n, err := r.TakeOver(r.ctx, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// outlast lets the time pass for which users are kept back.
func (r *replay) outlast() {
	calls, err := r.rdb.ZRange(r.ctx, r.prefix+"taken", 0, -1).Result()
	if err != nil || len(calls) == 0 {
		r.t.Fatal(calls, err)
	}
	for _, c := range calls {
		if err := r.rdb.ZAdd(r.ctx, r.prefix+"taken", redis.Z{Score: 1, Member: c}).Err(); err != nil {
			r.t.Fatal(err)
		}
	}
}

// wire is a version of the model as one of the ledger.
func wire(v uint8) ledger.Version    { return ledger.Version(v) * 1_000_000 }
func version(v ledger.Version) uint8 { return uint8(v/1_000_000 + v%1_000_000) } // the end of version 1 is the one behind it

// mark marks versions, and looks where they stand in the state that follows.
func (r *replay) mark(after State, versions ...int) {
	requests := make([]ledger.Request, len(versions))
	for i, v := range versions {
		requests[i] = ledger.Request{User: r.user, Operation: ledger.Unblock, Queue: ledger.Bulk, Version: wire(uint8(v))}
		if r.Blocks[v-1] {
			requests[i].Operation = ledger.Block
		}
		if r.Timed {
			requests[i].Job.Counted = true
			if v == 1 {
				requests[i].Job.Ends = 1
			}
		}
	}
	states, err := r.Mark(r.ctx, requests)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, v := range versions {
		want := ledger.State(after.Status)
		if v < int(after.Version) {
			want = ledger.Superseded
		}
		if states[i] != want {
			r.t.Fatalf("mark v%d: %v, the model has %v", v, states[i], want)
		}
	}
}

func (r *replay) claim(limit int) ledger.Claim {
	r.claims++
	return r.claimAs(fmt.Sprint(r.claims), limit)
}

func (r *replay) claimAs(id string, limit int) ledger.Claim {
	c, err := r.Claim(r.ctx, ledger.ClaimOptions{ID: id, Max: limit, Timeout: 10 * time.Minute})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *replay) renew(step Step, from, to State) {
	c := r.held[step.Worker]
	states, err := r.Renew(r.ctx, c.ID, c.Users, 10*time.Minute, effect(c, from.Workers[step.Worker]))
	if err != nil {
		r.t.Fatal(err)
	}
	want := ledger.Superseded
	switch {
	case !from.holds(step.Worker):
		want = ledger.Unknown
		switch {
		case from.Status != to.Status, to.Revoked && !from.Revoked:
			want = ledger.Waiting // the call may have undone another one: the request waits again
		}
	case to.Workers[step.Worker].Phase == Holding:
		want = ledger.InFlight
	}
	if states[0] != want {
		r.t.Fatalf("%v: %v, the model has %v", step, states[0], want)
	}
}

// effect returns the operation that the call of a worker has, or may have, carried out.
func effect(c ledger.Claim, w Worker) ledger.Operation {
	if w.Phase == Heard || w.Phase == Unsure {
		return c.Operation
	}
	return ""
}

func (r *replay) settle(step Step, from, to State) {
	c := r.held[step.Worker]
	s := map[Kind]ledger.Settlement{
		SettleOK:    {Do: ledger.Succeed},
		SettleNow:   {Do: ledger.Retry},
		SettleLater: {Do: ledger.Wait, Delay: time.Hour},
		SettleDead:  {Do: ledger.Kill},
	}[step.Kind]
	s.User, s.Version = r.user, c.Users[0].Version
	s.Effect = effect(c, from.Workers[step.Worker])
	settled, err := r.Settle(r.ctx, c.ID, []ledger.Settlement{s})
	if err != nil {
		r.t.Fatal(err)
	}
	want := ledger.State(to.Status)
	switch {
	case version(s.Version) < to.Version:
		want = ledger.Superseded
	case !from.holds(step.Worker) && !want.Ended():
		want = ledger.Unknown
	}
	if settled[0].State != want {
		r.t.Fatalf("%v: %v, the model has %v", step, settled[0].State, want)
	}
}

// compare compares all that the scripts keep.
func (r *replay) compare(step Step, s State) {
	for i, w := range s.Workers {
		if w.Phase == Idle {
			r.held[i] = ledger.Claim{}
		}
	}
	if got, want := r.abstract(), (State{
		Version: s.Version, Status: s.Status, Claim: s.Claim, Revoked: s.Revoked, Place: s.Place, Calls: NoOp, Taken: s.Taken,
	}); got != want {
		r.t.Fatalf("%v:\nscripts %v\nmodel   %v", step, got, want)
	}
}

// abstract reads the ledger as a state of the model without workers.
func (r *replay) abstract() State {
	s := State{Status: None, Place: Nowhere, Calls: NoOp, Taken: r.taken()}
	record, err := r.rdb.HGet(r.ctx, r.prefix+"users", alice).Result()
	if errors.Is(err, redis.Nil) {
		return s
	}
	words := strings.Fields(record)
	entries, err := r.Entries(r.ctx, []user.ID{r.user})
	if err != nil || len(words) < 9 {
		r.t.Fatal(record, err)
	}
	e, claim := entries[0], words[5]
	s.Version, s.Status = version(e.Version), Status(e.State)
	if claim != "-" {
		s.Claim, s.Revoked = Orphan, strings.HasPrefix(claim, "!")
		for i, h := range r.held {
			if h.ID == strings.TrimPrefix(claim, "!") {
				s.Claim = uint8(i + 1)
			}
		}
	}
	for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
		line, err := r.rdb.ZRangeWithScores(r.ctx, r.prefix+"waiting:bulk:"+string(op), 0, -1).Result()
		if err != nil {
			r.t.Fatal(err)
		}
		if len(line) == 0 {
			continue
		}
		if s.Place != Nowhere || op != e.Operation || ledger.Version(line[0].Score) > e.Version {
			r.t.Fatalf("stands in line for %s at %v, wanted is %+v", op, line[0].Score, e)
		}
		s.Place = Line
	}
	b, err := r.Backlog(r.ctx)
	switch {
	case err != nil:
		r.t.Fatal(err)
	case b.Later == 1 && s.Place != Nowhere:
		r.t.Fatal("stands in two places")
	case b.Later == 1 && b.NextDue == 0:
		s.Place = Due
	case b.Later == 1:
		s.Place = Later
	}
	return s
}

// taken reads which operation keeps the user back.
func (r *replay) taken() Op {
	calls, err := r.rdb.ZRangeByScore(r.ctx, r.prefix+"taken", &redis.ZRangeBy{Min: "2", Max: "+inf"}).Result()
	if err != nil || len(calls) > 1 {
		r.t.Fatal(calls, err)
	}
	for _, c := range calls {
		if name, op := strings.TrimLeft(c, "bu"), Op(c[0]); name == " "+alice {
			return op
		}
	}
	return NoOp
}

// probe takes steps that must change nothing, which the model leaves out: marking what is
// marked, claiming when there is no user to claim, and claims that come a second time, late.
func (r *replay) probe(s State) {
	var versions []int
	for i, marked := range s.Marked {
		if marked && (i != 1 || !r.Timed) {
			versions = append(versions, i+1)
		}
	}
	r.mark(s, versions...)
	if s.Place == Later || s.Place == Nowhere {
		if c := r.claim(1); len(c.Users) != 0 {
			r.t.Fatalf("claimed %+v in %v", c, s)
		}
	}
	if p := r.Protocol; p.takeOver(s) == s {
		if n := r.takeOver(); n != 0 {
			r.t.Fatalf("took %d over in %v", n, s)
		}
	}
	for _, c := range r.held {
		if c.ID != "" {
			r.claimAs(c.ID, 1)
		}
	}
	r.compare(Step{Kind: "a step that changes nothing"}, s)
}

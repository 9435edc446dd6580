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
	"github.com/wablock/wablock/tasks/ledger/model"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const somebody = "+16505550001"

// replay does on a real ledger what the model does.
type replay struct {
	*ledger.Ledger
	ctx    context.Context
	t      *rapid.T
	rdb    redis.UniversalClient
	user   user.ID
	prefix string
	blocks [model.Versions]bool
	claims int
	held   [model.Workers]ledger.Claim
}

// TestScriptsDoAsTheModel walks the model at random, and the scripts with it.
func TestScriptsDoAsTheModel(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		var mu sync.Mutex
		walks, kinds := 0, map[model.Kind]bool{}
		rapid.Check(t, func(rt *rapid.T) {
			mu.Lock()
			walks++
			id := fmt.Sprintf("1%014d", walks) // a ledger of its own for each walk
			mu.Unlock()
			p := model.Protocol{Blocks: alternating}
			r := newReplay(t.Context(), rt, rdb, id, p.Blocks)
			s := model.Start()
			for range rapid.IntRange(5, 30).Draw(rt, "steps") {
				moves := p.Next(s)
				if len(moves) == 0 {
					break // everything has ended
				}
				mu.Lock()
				fresh := slices.DeleteFunc(slices.Clone(moves), func(m model.Move) bool { return kinds[m.Step.Kind] })
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
		})
		const all = 19
		if len(kinds) != all {
			t.Errorf("%d of %d kinds of steps came to pass", len(kinds), all)
		}
	})
}

func newReplay(ctx context.Context, t *rapid.T, rdb redis.UniversalClient, id string, blocks [model.Versions]bool) *replay {
	who, err := user.FromCanonical(somebody)
	if err != nil {
		t.Fatal(err)
	}
	return &replay{
		Ledger: ledger.New(rdb, id), ctx: ctx, t: t, rdb: rdb, user: who,
		prefix: "wablock:{" + id + "}:", blocks: blocks,
	}
}

// do takes one step, from one state of the model to the next.
func (r *replay) do(step model.Step, from, to model.State) {
	switch step.Kind {
	case model.Mark:
		r.mark(to, step.Version)
	case model.Sweep:
		r.claim(0)
	case model.Pass:
		if err := r.rdb.ZAdd(r.ctx, r.prefix+"later", redis.Z{Score: 1, Member: somebody}).Err(); err != nil {
			r.t.Fatal(err)
		}
	case model.Claim, model.ClaimLost:
		c := r.claim(1)
		if len(c.Users) != 1 || version(c.Users[0].Version) != to.Version {
			r.t.Fatalf("%v: %+v", step, c)
		}
		r.held[step.Worker] = c
	case model.ClaimAgain:
		c := r.claimAs(r.held[step.Worker].ID, 1)
		holds := to.Workers[step.Worker].Phase == model.Holding
		if holds != (len(c.Users) == 1) || holds && version(c.Users[0].Version) != to.Version {
			r.t.Fatalf("%v: %+v, in the model %v", step, c, to)
		}
	case model.Renew:
		r.renew(step, from, to)
	case model.SettleOK, model.SettleNow, model.SettleLater, model.SettleDead:
		r.settle(step, from, to)
	default: // between a worker and the API alone
	}
}

// wire is a version of the model as one of the ledger.
func wire(v uint8) ledger.Version    { return ledger.Version(v) * 1_000_000 }
func version(v ledger.Version) uint8 { return uint8(v / 1_000_000) }

// mark marks versions, and looks where they stand in the state that follows.
func (r *replay) mark(after model.State, versions ...int) {
	requests := make([]ledger.Request, len(versions))
	for i, v := range versions {
		requests[i] = ledger.Request{User: r.user, Operation: ledger.Unblock, Queue: ledger.Bulk, Version: wire(uint8(v))}
		if r.blocks[v-1] {
			requests[i].Operation = ledger.Block
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
	c, err := r.Claim(r.ctx, ledger.ClaimOptions{ID: id, Max: limit, Hold: time.Hour})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *replay) renew(step model.Step, from, to model.State) {
	c := r.held[step.Worker]
	states, err := r.Renew(r.ctx, c.ID, c.Users, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	want := ledger.Superseded
	switch {
	case int(from.Claim) != step.Worker+1:
		want = ledger.Unknown
	case to.Workers[step.Worker].Phase == model.Holding:
		want = ledger.InFlight
	}
	if states[0] != want {
		r.t.Fatalf("%v: %v, the model has %v", step, states[0], want)
	}
}

func (r *replay) settle(step model.Step, from, to model.State) {
	c := r.held[step.Worker]
	s := map[model.Kind]ledger.Settlement{
		model.SettleOK:    {Verdict: ledger.Succeed},
		model.SettleNow:   {Verdict: ledger.Retry},
		model.SettleLater: {Verdict: ledger.Wait, Delay: time.Hour},
		model.SettleDead:  {Verdict: ledger.Kill},
	}[step.Kind]
	s.User, s.Version = r.user, c.Users[0].Version
	settled, err := r.Settle(r.ctx, c.ID, []ledger.Settlement{s})
	if err != nil {
		r.t.Fatal(err)
	}
	want := ledger.State(to.Status)
	switch {
	case version(s.Version) < to.Version:
		want = ledger.Superseded
	case int(from.Claim) != step.Worker+1 && !want.Ended():
		want = ledger.Unknown
	}
	if settled[0].State != want {
		r.t.Fatalf("%v: %v, the model has %v", step, settled[0].State, want)
	}
}

// compare compares all that the scripts keep.
func (r *replay) compare(step model.Step, s model.State) {
	for i, w := range s.Workers {
		if w.Phase == model.Idle {
			r.held[i] = ledger.Claim{}
		}
	}
	if got, want := r.abstract(), (model.State{
		Version: s.Version, Status: s.Status, Claim: s.Claim, Place: s.Place,
	}); got != want {
		r.t.Fatalf("%v:\nscripts %v\nmodel   %v", step, got, want)
	}
}

// abstract reads the ledger as a state of the model without workers.
func (r *replay) abstract() model.State {
	s := model.State{Status: model.None, Place: model.Nowhere}
	record, err := r.rdb.HGet(r.ctx, r.prefix+"users", somebody).Result()
	if errors.Is(err, redis.Nil) {
		return s
	}
	words := strings.Fields(record)
	entries, err := r.Entries(r.ctx, []user.ID{r.user})
	if err != nil || len(words) < 9 {
		r.t.Fatal(record, err)
	}
	e, claim := entries[0], words[5]
	s.Version, s.Status = version(e.Version), model.Status(e.State)
	if claim != "-" {
		s.Claim = model.Orphan
		for i, h := range r.held {
			if h.ID == claim {
				s.Claim = uint8(i + 1)
			}
		}
	}
	lines, err := r.Lines(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, line := range lines {
		if line.Users == 0 {
			continue
		}
		if s.Place != model.Nowhere || line.Queue != ledger.Bulk || line.Operation != e.Operation || line.Oldest > e.Version {
			r.t.Fatalf("stands in %+v, wanted is %+v", line, e)
		}
		s.Place = model.Line
	}
	b, err := r.Backlog(r.ctx)
	switch {
	case err != nil:
		r.t.Fatal(err)
	case b.Later == 1 && s.Place != model.Nowhere:
		r.t.Fatal("stands in two places")
	case b.Later == 1 && b.NextDue == 0:
		s.Place = model.Due
	case b.Later == 1:
		s.Place = model.Later
	}
	return s
}

// probe takes steps that must change nothing, which the model leaves out: marking what is
// marked, claiming when there is nobody to claim, and claims that come a second time, late.
func (r *replay) probe(s model.State) {
	var versions []int
	for i, marked := range s.Marked {
		if marked {
			versions = append(versions, i+1)
		}
	}
	r.mark(s, versions...)
	if s.Place == model.Later || s.Place == model.Nowhere {
		if c := r.claim(1); len(c.Users) != 0 {
			r.t.Fatalf("claimed %+v in %v", c, s)
		}
	}
	for _, c := range r.held {
		if c.ID != "" {
			r.claimAs(c.ID, 1)
		}
	}
	r.compare(model.Step{Kind: "a step that changes nothing"}, s)
}

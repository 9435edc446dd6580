package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// Two names of one person, as in Brazil: the API takes both for the wa_id without the ninth digit.
const (
	withNinth    = "+5592981723241"
	withoutNinth = "+559281723241"
	sharedWaID   = "559281723241"
)

func named(t testing.TB, name string) user.ID {
	t.Helper()
	id, err := user.FromCanonical(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func carriesOut(op ledger.Operation) ledger.Settlement {
	return ledger.Settlement{Do: ledger.Succeed, WaID: sharedWaID, Effect: op}
}

// TestNewestNameDecides blocks a person under one name, and unblocks it under another one that the
// API takes for the same.
func TestNewestNameDecides(t *testing.T) {
	t.Parallel()
	retries := ledger.Settlement{Do: ledger.Retry, Failure: &ledger.Failure{Code: 139103}}
	for _, names := range [][2]string{{withNinth, withoutNinth}, {withoutNinth, withNinth}, {withNinth, "US.13491208655302741918"}} {
		t.Run(names[0]+" then "+names[1], func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				older, newer := named(t, names[0]), named(t, names[1])
				f.mark(ledger.Block, ledger.Bulk, f.version(), older)
				f.settle(f.claim(1, ""), retries)
				unblocks := f.version()
				f.mark(ledger.Unblock, ledger.Interactive, unblocks, newer)
				f.settle(f.claim(1, ""), carriesOut(ledger.Unblock))
				if s := f.settle(f.claim(1, ""), carriesOut(ledger.Block))[0]; s.State != ledger.Succeeded || !s.Repeats {
					t.Errorf("the older request: %+v", s)
				}
				for _, u := range []user.ID{older, newer} {
					n, err := f.NewerNames(t.Context(), []ledger.Entry{f.entry(u)})
					if want := u == older; err != nil || want != (n[0].User == newer && n[0].Version == unblocks) {
						t.Errorf("newer than %v: %+v, %v", u, n, err)
					}
				}
				c := f.claim(1, "")
				if len(c.Users) != 1 || c.Users[0] != (ledger.Claimed{User: newer, Version: unblocks}) {
					t.Fatalf("no call follows for the newer request: %+v", c)
				}
				if s := f.settle(c, carriesOut(ledger.Unblock))[0]; s.State != ledger.Succeeded || s.Repeats {
					t.Errorf("%+v", s)
				}
				if c := f.claim(1, ""); len(c.Users) > 0 || !c.Backlog.Empty() {
					t.Errorf("the older request is carried out again: %+v", c)
				}
			})
		})
	}
}

// TestTwoNamesInCallsAtOnce lets calls for two names of one person overlap: which came last is
// known to no one, so that the newer request makes one more.
func TestTwoNamesInCallsAtOnce(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{false, true} {
		for _, olderFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("known %v, the older ends first %v", known, olderFirst), func(t *testing.T) {
				t.Parallel()
				each(t, func(t *testing.T, f *fixture) {
					// Neither name is the wa_id.
					older, newer := named(t, withNinth), named(t, "US.13491208655302741918")
					if known {
						f.mark(ledger.Unblock, ledger.Bulk, f.version(), older, newer)
						f.settle(f.claim(2, ""), carriesOut(ledger.Unblock))
					}
					f.mark(ledger.Block, ledger.Bulk, f.version(), older)
					one := f.claim(1, "")
					f.mark(ledger.Unblock, ledger.Bulk, f.version(), newer)
					two := f.claim(1, "")
					if olderFirst {
						f.settle(one, carriesOut(ledger.Block))
						f.settle(two, carriesOut(ledger.Unblock))
					} else {
						f.settle(two, carriesOut(ledger.Unblock))
						f.settle(one, carriesOut(ledger.Block))
					}
					f.expire()
					c := f.claim(2, "")
					if len(c.Users) != 1 || c.Users[0].User != newer {
						t.Fatalf("no call follows for the newer request: %+v", c)
					}
					if s := f.settle(c, carriesOut(ledger.Unblock))[0]; s.State != ledger.Succeeded {
						t.Errorf("%+v", s)
					}
					if c := f.claim(2, ""); len(c.Users) > 0 || !c.Backlog.Empty() {
						t.Errorf("calls go on: %+v", c)
					}
				})
			})
		}
	}
}

// TestNamesAreBounded keeps few names of a person, and none without a record.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		var all []user.ID
		for n := range 9 {
			all = append(all, num(t, n))
		}
		names := func() []string {
			t.Helper()
			line, err := f.rdb.HGet(t.Context(), "wablock:{"+phoneNumberID+"}:names", sharedWaID).Result()
			if err != nil && err != redis.Nil {
				t.Fatal(err)
			}
			return strings.Fields(line)
		}
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), all...)
		f.settle(f.claim(9, ""), carriesOut(ledger.Unblock))
		if got := names(); len(got) != 4 {
			t.Errorf("%d names of one person", len(got))
		}
		f.mark(ledger.Block, ledger.Bulk, f.version(), all[8])
		other := carriesOut(ledger.Block)
		other.WaID = all[8].Reveal()[1:]
		f.settle(f.claim(1, ""), other)
		if got := names(); slices.Contains(got, all[8].Reveal()) {
			t.Errorf("another person's: %v", got)
		}
		if n, err := f.Forget(t.Context(), f.entries(0, 1, 2, 3, 4, 5, 6, 7)); n != 8 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
		if got := names(); len(got) != 0 {
			t.Errorf("names of records that are gone: %v", got)
		}
	})
}

// TestPersonsAsAModel asks for few persons under many names, in any order, with calls that overlap,
// fail, and end without a word. When all has ended, the list is as the last request for each person wants it.
func TestPersonsAsAModel(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			p := &persons{Ledger: ledger.New(rdb, fmt.Sprintf("2%014d", runs)), t: t, rdb: rdb, key: fmt.Sprintf("wablock:{2%014d}:later", runs)}
			p.blocked, p.wanted, p.waID = map[string]bool{}, map[string]ledger.Operation{}, map[user.ID]string{}
			for _, waID := range []string{"559281723241", "5215512345678"} {
				for _, name := range []string{"+" + waID, "+" + waID[:4] + "9" + waID[4:], "+" + waID[:2] + waID[3:], "US." + waID + "000000"} {
					p.names = append(p.names, named(t, name))
					p.waID[named(t, name)] = waID
				}
			}
			rt.Repeat(map[string]func(*rapid.T){"ask": p.ask, "claim": p.claim, "end": p.end, "end too": p.end})
			p.drain(rt)
		})
	})
}

type persons struct {
	*ledger.Ledger
	t       *testing.T
	rdb     redis.UniversalClient
	key     string
	names   []user.ID
	waID    map[user.ID]string
	blocked map[string]bool             // the API's list, by wa_id
	wanted  map[string]ledger.Operation // by the last request
	calls   []ledger.Claim              // out
	last    ledger.Version
	made    int
	hidden  bool // answers for a BSUID tell no WhatsApp ID
}

func (p *persons) ask(t *rapid.T) {
	p.last++
	r := ledger.Request{
		Operation: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "op"),
		User:      rapid.SampledFrom(p.names).Draw(t, "name"),
		Queue:     rapid.SampledFrom(ledger.Queues()).Draw(t, "queue"), Version: p.last,
	}
	_, err := p.Mark(p.t.Context(), []ledger.Request{r})
	ok(t, err)
	p.wanted[p.waID[r.User]] = r.Operation
}

func (p *persons) claim(t *rapid.T) {
	p.made++
	c, err := p.Claim(p.t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("c%d", p.made), Max: rapid.IntRange(1, 3).Draw(t, "max"), Timeout: time.Minute})
	ok(t, err)
	if len(c.Users) > 0 {
		p.calls = append(p.calls, c)
	}
}

// end lets a call that is out be carried out for some of its users at the API, and be settled: a
// call that is not told to have succeeded may have been carried out all the same.
func (p *persons) end(t *rapid.T) {
	if len(p.calls) == 0 {
		return
	}
	i := rapid.IntRange(0, len(p.calls)-1).Draw(t, "call")
	c := p.calls[i]
	// The API carries a call out at any time while it is out: here, before those that it overlaps with
	// are told of, or after.
	apply := func(c ledger.Claim) {
		for _, u := range c.Users {
			p.blocked[p.waID[u.User]] = c.Operation == ledger.Block
		}
	}
	order := rapid.Permutation(p.calls).Draw(t, "order")
	for _, other := range order {
		if other.ID == c.ID || rapid.Bool().Draw(t, "carried out") {
			apply(other)
		}
	}
	p.calls = slices.Delete(p.calls, i, i+1)
	p.settle(t, c, rapid.SampledFrom([]ledger.Disposition{ledger.Succeed, ledger.Succeed, ledger.Retry, ledger.Wait}).Draw(t, "verdict"))
}

func (p *persons) settle(t *rapid.T, c ledger.Claim, v ledger.Disposition) {
	var all []ledger.Settlement
	for _, u := range c.Users {
		s := ledger.Settlement{User: u.User, Version: u.Version, Do: v, Effect: c.Operation}
		if v == ledger.Succeed && !(p.hidden && u.User.IsBSUID()) {
			s.WaID = p.waID[u.User]
		}
		all = append(all, s)
	}
	_, err := p.Settle(p.t.Context(), c.ID, all)
	ok(t, err)
}

func (p *persons) drain(t *rapid.T) {
	for len(p.calls) > 0 {
		p.end(t)
	}
	for round := 0; ; round++ {
		resting, err := p.rdb.ZRange(p.t.Context(), p.key, 0, -1).Result()
		ok(t, err)
		for _, u := range resting {
			ok(t, p.rdb.ZAdd(p.t.Context(), p.key, redis.Z{Score: 1, Member: u}).Err())
		}
		p.made++
		c, err := p.Claim(p.t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("c%d", p.made), Max: 3, Timeout: time.Minute})
		ok(t, err)
		if len(c.Users) == 0 && c.Backlog.Empty() {
			break
		}
		if round > 200 {
			t.Fatalf("calls go on: %+v", c)
		}
		for _, u := range c.Users {
			p.blocked[p.waID[u.User]] = c.Operation == ledger.Block
		}
		p.settle(t, c, ledger.Succeed)
	}
	for waID, op := range p.wanted {
		if p.blocked[waID] != (op == ledger.Block) {
			t.Fatalf("%s was asked for last; the API's list has %v", op, p.blocked[waID])
		}
	}
}

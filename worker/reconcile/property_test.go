package reconcile_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
	"github.com/wablock/wablock/worker/reconcile"
	"github.com/wablock/wablock/worker/reconcile/source"
)

const chaosPeople = 90

// someone is one person, by the numbers that people dial and the WhatsApp ID that the API has.
type someone struct {
	dialled, other user.ID // other is the form of the WhatsApp ID
	waID           string
}

func person(n int) someone {
	dialled, waID := fmt.Sprintf("+1650%07d", 2_000_000+n), fmt.Sprintf("1650%07d", 2_000_000+n)
	switch n % 5 {
	case 0:
		dialled, waID = fmt.Sprintf("+55929%08d", 81_000_000+n), fmt.Sprintf("5592%08d", 81_000_000+n)
	case 1:
		dialled, waID = fmt.Sprintf("+5255%08d", 12_000_000+n), fmt.Sprintf("52155%08d", 12_000_000+n)
	}
	return someone{canonical(dialled), canonical("+" + waID), waID}
}

func canonical(s string) user.ID {
	u, err := user.FromCanonical(s)
	if err != nil {
		panic(err) // a test's own number
	}
	return u
}

// chaos is one seeded life: a list, what is known of it, who else writes to it, and a run.
type chaos struct {
	*world
	rnd    *rand.Rand
	people []someone
	// asked holds the last request for each person, in the time of the run; foreign are
	// those that another program has touched.
	asked   map[int]ledger.Operation
	foreign map[int]bool
	// known are those that the API has named as it lists them.
	known  map[int]bool
	byUser map[user.ID]int
	// ours are unblocks that a run decided on.
	ours     map[user.ID]ledger.Version
	unblocks int
	desired  map[int]bool
	failed   func(format string, args ...any)
}

// TestDesiredUsersStayBlocked runs reconciliations against lists that change, pages that are
// short, empty, refused or no pages at all, users known under other names than they are listed
// by, and requests that come in meanwhile. A user on the desired list must never be
// unblocked by a run, and whatever is asked for meanwhile must be what comes of it.
func TestDesiredUsersStayBlocked(t *testing.T) {
	t.Parallel()
	const parts = 4
	chaosSeeds := redistest.Rounds(t, 200, 1000)
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			w := newWorld(t, rdb, simulator.Scenario{})
			w.log = slog.New(slog.DiscardHandler)
			w.runner = w.newRunner(nil)
			unblocks, done := 0, 0
			for seed := part; seed < chaosSeeds && !t.Failed(); seed += parts {
				c := newChaos(w, uint64(seed))
				if c.live() {
					done++
				}
				unblocks += c.unblocks
			}
			t.Logf("%d of %d runs came to their end, with %d unblocks", done, chaosSeeds/parts, unblocks)
			if done < chaosSeeds/parts/3 || unblocks < chaosSeeds/parts {
				t.Error("too few to show anything")
			}
		})
	}
}

func newChaos(w *world, seed uint64) *chaos {
	c := &chaos{
		world: w, rnd: rand.New(rand.NewPCG(seed, 7)), asked: map[int]ledger.Operation{}, foreign: map[int]bool{}, known: map[int]bool{},
		byUser: map[user.ID]int{}, ours: map[user.ID]ledger.Version{}, desired: map[int]bool{},
	}
	c.failed = func(format string, args ...any) { w.t.Errorf("seed %d: "+format, append([]any{seed}, args...)...) }
	list := []simulator.Operation{simulator.List}
	sc := simulator.Scenario{
		Seed: seed + 1,
		Listing: simulator.Listing{
			MaxLimit: 25 + c.rnd.IntN(60), NewestFirst: c.chance(2), OmitNext: c.chance(4), OlderShape: c.chance(5), RefuseOverMax: c.chance(5),
		},
		Answers: simulator.Answers{Shuffle: c.chance(2)},
		Faults: []simulator.Fault{
			{Operations: list, Effect: simulator.EffectEmptyPage, Probability: c.upTo(.2)},
			{Operations: list, WithCursor: true, Effect: simulator.EffectFail, Code: 100, Probability: c.upTo(.1)},
			{Operations: list, Effect: simulator.EffectListChanged, Probability: c.upTo(.1)},
			{Operations: list, Effect: simulator.EffectHTML, Probability: c.upTo(.1)},
			{Operations: list, Effect: simulator.EffectTruncated, Probability: c.upTo(.1)},
			{Operations: list, Effect: simulator.EffectFail, Code: 130429, Probability: c.upTo(.1)},
		},
	}
	for n := range chaosPeople {
		p := person(n)
		c.people = append(c.people, p)
		c.byUser[p.dialled], c.byUser[p.other] = n, n
		sc.Users = append(sc.Users, simulator.User{User: p.dialled.Reveal(), WaID: p.waID})
	}
	if err := w.sim.SetScenario(sc); err != nil {
		w.t.Fatal(err)
	}
	w.sim.Reset()
	if err := w.rdb.FlushAll(w.t.Context()).Err(); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (c *chaos) chance(oneIn int) bool { return c.rnd.IntN(oneIn) == 0 }

func (c *chaos) upTo(p float64) float64 { return max(p*c.rnd.Float64(), 1e-9) }

// live reports whether the run came to its end.
func (c *chaos) live() bool {
	source := c.past()
	target := c.target(source)
	target.MaxChanges = 1000
	target.API = &between{API: c.api, before: c.happens}
	o := reconcile.Options{Apply: true}
	if plan, err := c.runner.Run(c.t.Context(), target, reconcile.Options{}); err == nil {
		o.Approve = plan.Plan.Hash // another one by now, or one whose guards are set aside
	}
	clear(c.asked) // what was asked for before the run is not meanwhile
	clear(c.foreign)
	res, err := c.runner.Run(c.t.Context(), target, o)
	for _, j := range res.Jobs {
		if j.Operation != ledger.Unblock {
			continue
		}
		for _, u := range j.Users {
			c.ours[u] = j.Version
			if err != nil {
				c.failed("a run that failed unblocks: %v", err)
			}
		}
	}
	for range 3 {
		c.happens()
	}
	c.carry()
	c.compare()
	return err == nil
}

// past fills list and ledger, and returns what is desired.
func (c *chaos) past() source.Source {
	var seeded []string
	var blocked, unblocked []user.ID
	var desired fixed
	fromLedger := c.chance(4)
	for n, p := range c.people {
		listed, known := c.rnd.IntN(10) < 7, c.rnd.IntN(10) < 5
		wanted := listed != c.chance(12) // a little drift
		if listed {
			seeded = append(seeded, p.dialled.Reveal())
		}
		if known && wanted {
			blocked = append(blocked, p.dialled)
			c.known[n] = true
		}
		if known && !wanted && c.chance(2) {
			unblocked = append(unblocked, p.dialled)
			c.known[n] = true
		}
		if fromLedger {
			wanted = known && wanted
		}
		if wanted {
			c.desired[n] = true
			u := p.dialled
			if c.chance(3) {
				u = p.other
			}
			desired = append(desired, u)
		}
	}
	if len(blocked) > 0 {
		c.enqueue(ledger.Block, blocked...)
	}
	if len(unblocked) > 0 {
		c.enqueue(ledger.Unblock, unblocked...)
	}
	c.carry()
	if err := c.sim.Seed(phoneNumberID, seeded...); err != nil {
		c.t.Fatal(err)
	}
	if fromLedger {
		return source.Ledger()
	}
	return desired
}

// happens does what others may do at any moment: a foreign console, a service that asks, a worker.
func (c *chaos) happens() {
	n := c.rnd.IntN(chaosPeople)
	op := ledger.Block
	if c.chance(2) {
		op = ledger.Unblock
	}
	switch c.rnd.IntN(16) {
	case 0:
		c.foreign[n] = true
		c.world.foreign(op, c.people[n].dialled)
	case 1:
		c.asked[n] = op
		c.enqueue(op, c.people[n].dialled)
	case 2, 3:
		c.carry()
	}
}

// carry does a worker's calls, and looks at what they are for.
func (c *chaos) carry() {
	for {
		c.claims++
		claim, err := c.ledger.Claim(c.t.Context(), ledger.ClaimOptions{ID: fmt.Sprintf("claim-%d", c.claims), Max: 1 + c.rnd.IntN(100), Timeout: 10 * time.Minute})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(claim.Users) == 0 {
			return
		}
		for _, u := range claim.Users {
			if v, ours := c.ours[u.User]; claim.Operation == ledger.Unblock && ours && v == u.Version {
				c.unblocks++
				if n := c.byUser[u.User]; c.desired[n] {
					c.failed("person %d is desired, and was unblocked as %s", n, u.User.Reveal())
				}
			}
		}
		c.carryOut(claim)
	}
}

// compare holds the list against what was asked for while the runs went on.
func (c *chaos) compare() {
	listed := map[string]bool{}
	for _, id := range c.sim.Snapshot(phoneNumberID) {
		listed[id] = true
	}
	for n, op := range c.asked {
		if p := c.people[n]; p.dialled != p.other && !c.known[n] {
			continue // nothing orders requests under two names that are not known to be one user
		}
		if !c.foreign[n] && listed[c.people[n].waID] != (op == ledger.Block) {
			c.failed("person %d was asked to be %sed meanwhile, and is not", n, op)
		}
	}
}

package ledger_test

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// check compares all that Redis holds with the reference, and what both say with the API.
func (w *world) check(t *rapid.T) {
	entries, err := w.Entries(w.ctx, w.users)
	ok(t, err)
	places := w.places(t)
	for i, id := range w.users {
		u := w.ref.users[id]
		if u == nil {
			u = &refUser{}
		}
		e := entries[i]
		got := refUser{
			id: u.id, op: e.Operation, state: e.State, queue: e.Queue, version: e.Version, attempts: e.Attempts,
			failed: !e.FirstFailedAt.IsZero(), waID: e.WaID, claim: u.claim, place: places[id], turn: u.turn,
		}
		if got != *u || e.Busy != (u.claim != "") {
			t.Fatalf("%v:\ngot  %+v, busy %v\nwant %+v", id, got, e.Busy, *u)
		}
		if e.Version != w.marked[id].Version || e.Operation != w.marked[id].Operation {
			t.Fatalf("%v: %+v is not the newest request, %+v", id, e, w.marked[id])
		}
		if e.State == ledger.Succeeded && !w.failed && w.blocked[id] != (e.Operation == ledger.Block) {
			t.Fatalf("%v: succeeded, but the API's list has %v", id, w.blocked[id])
		}
		if ended := e.State.Ended(); ended == (places[id] != nowhere) && e.State != ledger.Unknown {
			t.Fatalf("%v: %v, but stands at %v", id, e.State, places[id])
		}
	}
	b, err := w.Backlog(w.ctx)
	ok(t, err)
	b.NextDue = 0
	same(t, w.ref.backlog(), b)
	if !w.failed { // a replica may have other counts than records
		w.checkCounts(t)
	}
}

// checkCounts compares the counts of each job with the states of its users. The dead of a version may
// have been asked for again since.
func (w *world) checkCounts(t *rapid.T) {
	for _, j := range w.jobs {
		first := j.requests[0]
		if !first.Job.Counted {
			continue
		}
		jobs, err := w.JobsOf(w.ctx, []ledger.Version{first.Version})
		ok(t, err)
		got := jobs[first.Version]
		var pending, succeeded, newer int
		for _, r := range j.requests {
			switch u := w.ref.users[r.User]; {
			case !j.marked, u.version == r.Version && !u.state.Ended():
				pending++
			case u.version == r.Version && u.state == ledger.Succeeded:
				succeeded++
			case u.version > r.Version:
				newer++
			}
		}
		c := got.Counts
		if got.Pending() != pending || c.Ended()+pending != got.Accepted || c.Succeeded < succeeded || c.Succeeded > succeeded+newer {
			t.Fatalf("the job of version %d: %d of %d pending, %+v; its users have %d pending, %d succeeded, %d newer",
				first.Version, got.Pending(), got.Accepted, c, pending, succeeded, newer)
		}
	}
}

// places reads where each user stands. To stand in two places is an error.
func (w *world) places(t *rapid.T) map[user.ID]refPlace {
	places := map[user.ID]refPlace{}
	put := func(z redis.Z, p refPlace) {
		id, err := user.FromCanonical(z.Member.(string))
		ok(t, err)
		if places[id] != nowhere {
			t.Fatalf("%v stands in two places", id)
		}
		places[id] = p
	}
	for _, q := range ledger.Queues() {
		for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
			all, err := w.rdb.ZRangeWithScores(w.ctx, w.prefix+"waiting:"+string(q)+":"+string(op), 0, -1).Result()
			ok(t, err)
			for _, z := range all {
				put(z, inLine)
				id, _ := user.FromCanonical(z.Member.(string))
				if u := w.ref.users[id]; u == nil || u.queue != q || u.op != op || u.turn != ledger.Version(z.Score) {
					t.Fatalf("%v stands in the line of %s %s at %v; want %+v", id, q, op, z.Score, u)
				}
			}
		}
	}
	all, err := w.rdb.ZRangeWithScores(w.ctx, w.prefix+"later", 0, -1).Result()
	ok(t, err)
	for _, z := range all {
		if z.Score == 1 {
			put(z, due)
		} else {
			put(z, later)
		}
	}
	return places
}

// drain lets everything end: each request is delivered, nothing fails any more. Then the
// API's list must be as the newest request of each user wants it, save for the dead.
func (w *world) drain(t *rapid.T) {
	for _, j := range w.jobs {
		w.markJob(t, j)
	}
	for _, c := range w.calls {
		if c.out() {
			w.end(t, c)
		}
		if !c.late || c.crashed || len(c.Users) == 0 {
			continue
		}
		all := make([]ledger.Settlement, len(c.Users)) // what it has done is told
		for i, u := range c.Users {
			all[i] = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Retry, Effect: c.effect()}
			w.ref.settle(c.ID, all[i])
		}
		_, err := w.Settle(w.ctx, c.ID, all)
		ok(t, err)
	}
	w.calls = nil
	for round := 0; ; round++ {
		for _, u := range w.ref.users {
			if u.place == later {
				w.makeDue(t, u)
			}
		}
		o := ledger.ClaimOptions{ID: "drain-" + time.Duration(round).String(), Max: 3, Timeout: 10 * time.Minute}
		c, err := w.Claim(w.ctx, o)
		ok(t, err)
		w.ref.claim(o)
		if c.Backlog.Empty() && len(c.Users) == 0 {
			break
		}
		if round > 3*len(w.users) {
			t.Fatalf("not drained after %d calls: %+v", round, c.Backlog)
		}
		var all []ledger.Settlement
		for _, u := range c.Users {
			w.blocked[u.User] = c.Operation == ledger.Block
			all = append(all, ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed})
			w.ref.settle(c.ID, all[len(all)-1])
		}
		_, err = w.Settle(w.ctx, c.ID, all)
		ok(t, err)
	}
	w.check(t)
	for id, r := range w.marked {
		state := w.ref.users[id].state
		dead := state == ledger.Dead || state == ledger.Discarded
		if !dead && w.blocked[id] != (r.Operation == ledger.Block) {
			t.Fatalf("%v: %s was asked for last, the API's list has %v", id, r.Operation, w.blocked[id])
		}
	}
}

// holder returns the claim under which a call for the user is out, or may be yet.
func (w *world) holder(id user.ID) *apiCall {
	for _, c := range w.calls {
		if !c.late && c.out() || !c.late && (!c.expired && !c.ended && !c.crashed) {
			if slices.ContainsFunc(c.Users, func(u ledger.Claimed) bool { return u.User == id }) {
				return c
			}
		}
	}
	return nil
}

func ok(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *rapid.T, want, got T) {
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b user.ID) bool { return a == b })); d != "" {
		t.Fatalf("not as the reference has it:\n%s", strings.TrimSpace(d))
	}
}

// distinctInRuns drops a request that names the user of the one before it in the same run.
func distinctInRuns(requests []ledger.Request) []ledger.Request {
	return slices.CompactFunc(slices.Clone(requests), func(a, b ledger.Request) bool { return a == b })
}

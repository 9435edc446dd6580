package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// world is a ledger, what it should hold, the API, and the workers with their calls.
type world struct {
	*ledger.Ledger
	ctx     context.Context
	rdb     redis.UniversalClient
	prefix  string
	ref     reference
	users   []user.ID
	asked   []ledger.Request // all requests, also those that are not marked yet
	jobs    []*machineJob
	marked  map[user.ID]ledger.Request
	blocked map[user.ID]bool // the API's list
	calls   []*apiCall
	claims  int
	saved   *snapshot
	failed  bool // over, to a replica: from then on the list is right at the end only
}

// apiCall is a claim and the call that is made for it.
type apiCall struct {
	ledger.Claim
	sent, ended bool
	crashed     bool // will not be settled
	expired     bool // its deadline has passed
	renewed     bool
	late        bool // Redis may have lost its claim
}

func (c *apiCall) out() bool { return c.sent && !c.ended }

// effect is the operation that the call may have carried out.
func (c *apiCall) effect() ledger.Operation {
	if c.ended {
		return c.Operation
	}
	return ""
}

// TestLedgerAsStateMachine drives the ledger in any order through whatever a worker, a task
// and bad luck can do, and compares each answer and each record with the reference.
func TestLedgerAsStateMachine(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			w := newWorld(t, rdb, fmt.Sprintf("1%014d", runs))
			rt.Repeat(map[string]func(*rapid.T){
				"ask":       w.ask,
				"deliver":   w.deliver,
				"claim":     w.claim,
				"claim too": w.claim,
				"ask again": w.claimAgain,
				"send":      w.send,
				"answer":    w.answer,
				"settle":    w.settle,
				"renew":     w.renew,
				"crash":     w.crash,
				"expire":    w.expire,
				"be due":    w.beDue,
				"discard":   w.discard,
				"replicate": w.replicate,
				"fail over": w.failOver,
				"":          w.check,
			})
			w.drain(rt)
		})
	})
}

func newWorld(t *testing.T, rdb redis.UniversalClient, id string) *world {
	w := &world{
		Ledger: ledger.New(rdb, id), ctx: t.Context(), rdb: rdb, prefix: "wablock:{" + id + "}:",
		ref:    reference{users: map[user.ID]*refUser{}},
		marked: map[user.ID]ledger.Request{}, blocked: map[user.ID]bool{},
	}
	for n := range 6 {
		w.users = append(w.users, num(t, n))
	}
	return w
}

func (w *world) someUsers(t *rapid.T) []user.ID {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(w.users), 1, 4, rapid.ID[user.ID]).Draw(t, "users")
}

// ask makes a request, and may leave it to a later delivery to mark it.
func (w *world) ask(t *rapid.T) {
	r := ledger.Request{
		Operation: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "op"),
		Queue:     rapid.SampledFrom(ledger.Queues()).Draw(t, "queue"),
		Version:   ledger.Version(1_000_000 + len(w.asked)),
	}
	from := len(w.asked)
	users := w.someUsers(t)
	counted := rapid.IntRange(0, 4).Draw(t, "counted") > 0 // else of a program that is older
	if counted {
		r.Job.Counted = true
		v, err := w.Register(w.ctx, ledger.JobRecord{
			ID: fmt.Sprint(r.Version), Operation: r.Operation, Queue: r.Queue, Accepted: len(users), Parts: 1,
		}, ledger.Text{}, r.Version, ledger.JobLimits{})
		ok(t, err)
		same(t, r.Version, v)
	}
	for _, r.User = range users {
		w.asked = append(w.asked, r)
	}
	w.jobs = append(w.jobs, &machineJob{requests: w.asked[from:len(w.asked):len(w.asked)]})
	if rapid.Bool().Draw(t, "mark") {
		w.markJob(t, w.jobs[len(w.jobs)-1])
	}
}

// machineJob holds the requests of one version.
type machineJob struct {
	requests []ledger.Request
	marked   bool // once, as a whole
}

// markJob marks a whole job, as its task does.
func (w *world) markJob(t *rapid.T, j *machineJob) {
	j.marked = true
	whole := slices.Clone(j.requests)
	for i := range whole {
		if whole[i].Job.Counted {
			whole[i].Job.Part = 1
		}
	}
	w.mark(t, whole)
}

// deliver marks any requests, most of them again, in any order; a job's first as a whole.
func (w *world) deliver(t *rapid.T) {
	if len(w.jobs) == 0 {
		return
	}
	var some []ledger.Request
	for _, j := range rapid.SliceOfN(rapid.SampledFrom(w.jobs), 1, 5).Draw(t, "jobs") {
		if !j.marked || rapid.Bool().Draw(t, "whole") {
			w.markJob(t, j)
			continue
		}
		some = append(some, rapid.SampledFrom(j.requests).Draw(t, "request"))
	}
	if len(some) > 0 {
		w.mark(t, some)
	}
}

func (w *world) mark(t *rapid.T, requests []ledger.Request) {
	requests = distinctInRuns(requests)
	states, err := w.Mark(w.ctx, requests)
	ok(t, err)
	var want []ledger.State
	for _, r := range requests {
		want = append(want, w.ref.mark(r))
		if r.Version > w.marked[r.User].Version {
			w.marked[r.User] = r
		}
	}
	same(t, want, states)
}

func (w *world) claim(t *rapid.T) {
	w.claims++
	o := ledger.ClaimOptions{
		ID: fmt.Sprintf("claim-%d", w.claims), Max: rapid.IntRange(0, 4).Draw(t, "max"), Timeout: 10 * time.Minute,
		Only:   rapid.SampledFrom([]ledger.Operation{"", "", ledger.Block, ledger.Unblock}).Draw(t, "only"),
		Oldest: rapid.Bool().Draw(t, "oldest"), Rest: rapid.SampledFrom([]time.Duration{0, 0, time.Hour / 5}).Draw(t, "rest"),
	}
	c, err := w.Claim(w.ctx, o)
	ok(t, err)
	want := w.ref.claim(o)
	c.Backlog.NextDue = 0
	if len(c.Users) == 0 && len(want.Users) == 0 {
		c.Users, want.Users = nil, nil
	}
	same(t, want, c)
	for _, u := range c.Users {
		if other := w.holder(u.User); other != nil {
			t.Fatalf("%v is claimed by %s, and by %s still", u.User, c.ID, other.ID)
		}
	}
	if len(c.Users) > 0 {
		w.calls = append(w.calls, &apiCall{Claim: c, crashed: rapid.IntRange(0, 9).Draw(t, "lost reply") == 0})
	}
}

func (w *world) pick(t *rapid.T, which func(*apiCall) bool) *apiCall {
	var some []*apiCall
	for _, c := range w.calls {
		if which(c) {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(t, "call")]
}

// send lets a call out, which a worker does before its deadline only.
func (w *world) send(t *rapid.T) {
	if c := w.pick(t, func(c *apiCall) bool { return !c.sent && !c.crashed && !c.expired }); c != nil {
		c.sent = true
	}
}

// answer ends a call: the API has done it for some of the users.
func (w *world) answer(t *rapid.T) {
	if c := w.pick(t, (*apiCall).out); c != nil {
		w.end(t, c)
	}
}

func (w *world) end(t *rapid.T, c *apiCall) {
	c.ended = true
	for _, u := range c.Users {
		if rapid.IntRange(0, 3).Draw(t, "applied") > 0 {
			w.blocked[u.User] = c.Operation == ledger.Block
		}
	}
}

// settle reports the outcome of a call that has ended; of a claim without a call, that its users
// wait. A success is told only where the API's list is as the call wanted it. The reply may
// get lost, so that all is told again.
func (w *world) settle(t *rapid.T) {
	c := w.pick(t, func(c *apiCall) bool { return !c.crashed && !c.out() })
	if c == nil {
		return
	}
	var all []ledger.Settlement
	for _, u := range c.Users {
		s := ledger.Settlement{User: u.User, Version: u.Version, Effect: c.effect()}
		verdicts := []ledger.Disposition{ledger.Retry, ledger.Wait}
		if c.ended {
			verdicts = append(verdicts, ledger.Kill)
			if w.blocked[u.User] == (c.Operation == ledger.Block) {
				verdicts = []ledger.Disposition{ledger.Succeed, ledger.Succeed, ledger.Succeed, ledger.Retry}
			}
		}
		s.Do = rapid.SampledFrom(verdicts).Draw(t, "verdict")
		s.Delay = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "delay")
		s.WaID = rapid.SampledFrom([]string{"", "7" + u.User.Reveal()[1:], "8" + u.User.Reveal()[1:]}).Draw(t, "wa_id")
		all = append(all, s)
	}
	for range rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "tries") {
		settled, err := w.Settle(w.ctx, c.ID, all)
		ok(t, err)
		var want, got []refSettled
		for i, s := range all {
			want = append(want, w.ref.settle(c.ID, s))
			got = append(got, refSettled{settled[i].State, settled[i].Attempts, !settled[i].FirstFailedAt.IsZero(), settled[i].Repeats})
		}
		same(t, want, got)
	}
	w.drop(c)
}

func (w *world) drop(c *apiCall) {
	w.calls = slices.DeleteFunc(w.calls, func(other *apiCall) bool { return other == c })
}

// renew keeps some users of a claim for a further call, as a call that is split does.
func (w *world) renew(t *rapid.T) {
	c := w.pick(t, func(c *apiCall) bool { return !c.crashed && !c.out() })
	if c == nil {
		return
	}
	states, err := w.Renew(w.ctx, c.ID, c.Users, 10*time.Minute, c.effect())
	ok(t, err)
	var want []ledger.State
	var kept []ledger.Claimed
	for i, u := range c.Users {
		want = append(want, w.ref.renew(c.ID, u, c.effect()))
		if states[i] == ledger.InFlight {
			kept = append(kept, u)
		}
	}
	same(t, want, states)
	c.Users, c.sent, c.ended, c.expired, c.renewed = kept, false, false, false, true
	if len(kept) == 0 {
		w.drop(c)
	}
}

// crash ends a worker, and with it the knowledge of its call, which goes on.
func (w *world) crash(t *rapid.T) {
	if c := w.pick(t, func(c *apiCall) bool { return !c.crashed && !c.late }); c != nil {
		c.crashed = true
	}
}

// expire lets the deadline of a claim pass; a call that is out ends before that.
func (w *world) expire(t *rapid.T) {
	c := w.pick(t, func(c *apiCall) bool { return !c.expired })
	if c == nil {
		return
	}
	if c.out() {
		w.end(t, c)
	}
	c.expired = true
	for _, u := range w.ref.users {
		if u.claim == c.ID {
			w.makeDue(t, u)
		}
	}
	if c.crashed {
		w.drop(c)
	}
}

// beDue ends the back-off of a user.
func (w *world) beDue(t *rapid.T) {
	u := w.ref.users[rapid.SampledFrom(w.users).Draw(t, "user")]
	if u != nil && u.claim == "" && u.place == later {
		w.makeDue(t, u)
	}
}

func (w *world) makeDue(t *rapid.T, u *refUser) {
	u.place = due
	ok(t, w.rdb.ZAdd(w.ctx, w.prefix+"later", redis.Z{Score: 1, Member: u.id.Reveal()}).Err())
}

func (w *world) discard(t *rapid.T) {
	id := rapid.SampledFrom(w.users).Draw(t, "user")
	version := w.marked[id].Version + ledger.Version(rapid.IntRange(-1, 0).Draw(t, "version"))
	done, err := w.Discard(w.ctx, id, version)
	ok(t, err)
	same(t, w.ref.discard(id, version), done)
}

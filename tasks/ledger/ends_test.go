package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const endsKey = "wablock:{" + phoneNumberID + "}:ends"

// timed registers and marks a block that ends at a time that has passed, or will not soon.
func (f *fixture) timed(id string, passed bool, users ...user.ID) ledger.Version {
	f.t.Helper()
	end := time.Now().Add(time.Hour).UnixMilli()
	if passed {
		end = time.Now().Add(-time.Second).UnixMilli()
	}
	v := f.register(ledger.JobRecord{ID: id, Operation: ledger.Block, Queue: ledger.Bulk, Accepted: len(users), Parts: 1, Ends: end}, 0, ledger.JobLimits{})
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{
			User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: v, Job: ledger.JobRef{Counted: true, Ends: end, Part: 1},
		}
	}
	if _, err := f.Mark(f.t.Context(), requests); err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *fixture) endBlocks() ledger.Ended {
	f.t.Helper()
	e, err := f.EndBlocks(f.t.Context(), ledger.MaxBatch)
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// TestTimedBlockEnds: what becomes of a block at its end, by what had become of it before.
func TestTimedBlockEnds(t *testing.T) {
	t.Parallel()
	succeed := ledger.Settlement{Do: ledger.Succeed}
	type end struct {
		State     ledger.State
		Operation ledger.Operation
		Busy      bool
		Counts    ledger.Counts
		Dead      int
	}
	cases := map[string]struct {
		before func(f *fixture, u user.ID)
		after  func(f *fixture)
		want   end
	}{
		"it never went out": {
			want: end{State: ledger.Succeeded, Operation: ledger.Unblock, Counts: ledger.Counts{Canceled: 1}},
		},
		"it never went out, over a block that had succeeded": {
			before: func(f *fixture, u user.ID) {
				f.mark(ledger.Block, ledger.Bulk, f.version(), u)
				f.settle(f.claim(1, ""), succeed)
			},
			want: end{State: ledger.Waiting, Operation: ledger.Unblock, Counts: ledger.Counts{Canceled: 1}},
		},
		"it never went out, and an older block is dead": {
			before: func(f *fixture, u user.ID) {
				f.timed("dead", false, u)
				f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}})
				f.timed("between", false, u)
			},
			want: end{State: ledger.Succeeded, Operation: ledger.Unblock, Dead: 1, Counts: ledger.Counts{Canceled: 1}},
		},
		"it succeeded": {
			after: func(f *fixture) { f.settle(f.claim(1, ""), succeed) },
			want:  end{State: ledger.Waiting, Operation: ledger.Unblock, Counts: ledger.Counts{Succeeded: 1}},
		},
		"it is in flight": {
			after: func(f *fixture) { f.claim(1, "") },
			want:  end{State: ledger.Waiting, Operation: ledger.Unblock, Busy: true, Counts: ledger.Counts{Superseded: 1}},
		},
		"a call was cut": {
			after: func(f *fixture) {
				f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Retry, Delay: time.Minute, Effect: ledger.Block})
			},
			want: end{State: ledger.Waiting, Operation: ledger.Unblock, Counts: ledger.Counts{Canceled: 1}},
		},
		"its claim was lost": {
			after: func(f *fixture) {
				f.claim(1, "")
				f.expire()
				f.claim(0, "")
			},
			want: end{State: ledger.Waiting, Operation: ledger.Unblock, Counts: ledger.Counts{Canceled: 1}},
		},
		"it is dead": {
			after: func(f *fixture) {
				f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}})
			},
			want: end{
				State: ledger.Succeeded, Operation: ledger.Unblock, Dead: 1,
				Counts: ledger.Counts{Dead: 1, Codes: map[int]int{131047: 1}},
			},
		},
		"a newer request without an end": {
			after: func(f *fixture) { f.mark(ledger.Block, ledger.Bulk, f.version(), num(f.t, 1)) },
			want:  end{State: ledger.Waiting, Operation: ledger.Block, Counts: ledger.Counts{Superseded: 1}},
		},
		"a newer request with a later end": {
			after: func(f *fixture) { f.timed("newer", false, num(f.t, 1)) },
			want:  end{State: ledger.Waiting, Operation: ledger.Block, Counts: ledger.Counts{Superseded: 1}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				alice := num(t, 1)
				if c.before != nil {
					c.before(f, alice)
				}
				v := f.timed("j", true, alice)
				if c.after != nil {
					c.after(f)
				}
				ended := f.endBlocks()
				e := f.entry(alice)
				counts := f.counts("j").Counts
				counts.Known, counts.LastEnded = false, time.Time{}
				got := end{e.State, e.Operation, e.Busy, counts, len(ended.Dead)}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				if e.Operation == ledger.Unblock && (e.Version != v+1 || !e.BlockEnded || e.Job.Counted) {
					t.Errorf("%+v", e)
				}
				if again := f.endBlocks(); again.Blocks != 0 {
					t.Errorf("it ended twice: %+v", again)
				}
				if got := f.mark(ledger.Block, ledger.Bulk, v, alice); got != "n" && got != "w" {
					t.Errorf("the ended block is wanted again: %s", got)
				}
				for f.expire(); ; f.expire() {
					call := f.claim(1, "")
					if len(call.Users) == 0 {
						break
					}
					f.settle(call, succeed)
				}
				if after := f.entry(alice); after.Operation != c.want.Operation || after.State != ledger.Succeeded {
					t.Errorf("in the end %+v", after)
				}
				if n, err := f.rdb.ZCard(t.Context(), endsKey).Result(); err != nil || n > 1 || n == 1 && name != "a newer request with a later end" {
					t.Errorf("%d ends are left, %v", n, err)
				}
			})
		})
	}
}

// TestTimedBlocksAgainstTheLastRequest lets requests, timed blocks, ends, calls and lost claims come in any order, and
// expects of the API's list what the last request and its end ask for.
func TestTimedBlocksAgainstTheLastRequest(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			w := &timedWorld{
				fixture: &fixture{Ledger: ledger.New(rdb, fmt.Sprintf("2%014d", runs)), t: t, rdb: rdb},
				blocked: map[user.ID]bool{}, last: map[user.ID]asked{},
			}
			for n := range 3 {
				w.users = append(w.users, num(t, n))
			}
			rt.Repeat(map[string]func(*rapid.T){
				"ask": w.ask, "time passes": w.pass, "end": func(*rapid.T) { w.endBlocks() },
				"claim": w.call, "settle": w.answer, "lose": func(*rapid.T) { w.lose() },
				"": w.check,
			})
			w.finish(rt)
		})
	})
}

type asked struct {
	op   ledger.Operation
	ends int64
}

type timedWorld struct {
	*fixture
	users   []user.ID
	blocked map[user.ID]bool
	last    map[user.ID]asked
	jobs    []string
	calls   []ledger.Claim
}

func (w *timedWorld) key(name string) string {
	return "wablock:{" + w.PhoneNumberID() + "}:" + name
}

func (w *timedWorld) ask(t *rapid.T) {
	a := asked{op: rapid.SampledFrom([]ledger.Operation{ledger.Block, ledger.Unblock}).Draw(t, "op")}
	if a.op == ledger.Block && rapid.Bool().Draw(t, "timed") {
		a.ends = time.Now().Add(time.Hour).UnixMilli()
		if rapid.Bool().Draw(t, "ended") {
			a.ends = 1 // and so each claim may come before or after it
		}
	}
	users := rapid.SliceOfNDistinct(rapid.SampledFrom(w.users), 1, 3, rapid.ID[user.ID]).Draw(t, "users")
	id := fmt.Sprintf("job-%d", len(w.jobs))
	w.jobs = append(w.jobs, id)
	v := w.register(ledger.JobRecord{ID: id, Operation: a.op, Queue: ledger.Bulk, Accepted: len(users), Parts: 1, Ends: a.ends}, 0, ledger.JobLimits{})
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		w.last[u] = a
		requests[i] = ledger.Request{User: u, Operation: a.op, Queue: ledger.Bulk, Version: v, Job: ledger.JobRef{Counted: true, Ends: a.ends, Part: 1}}
	}
	if _, err := w.Mark(w.t.Context(), requests); err != nil {
		t.Fatal(err)
	}
}

// pass lets the first end that is ahead come.
func (w *timedWorld) pass(t *rapid.T) {
	u := rapid.SampledFrom(w.users).Draw(t, "user")
	a := w.last[u]
	if a.ends <= 1 {
		return
	}
	line, err := w.rdb.HGet(w.t.Context(), w.key("users"), u.Reveal()).Result()
	ok(t, err)
	old := fmt.Sprintf(" %d ", a.ends)
	for i := range line {
		if len(line)-i >= len(old) && line[i:i+len(old)] == old {
			line = line[:i] + " 1 " + line[i+len(old):]
			break
		}
	}
	ok(t, w.rdb.HSet(w.t.Context(), w.key("users"), u.Reveal(), line).Err())
	ok(t, w.rdb.ZAdd(w.t.Context(), w.key("ends"), redis.Z{Score: 1, Member: u.Reveal()}).Err())
	a.ends = 1
	w.last[u] = a
}

func (w *timedWorld) call(*rapid.T) {
	if c := w.claim(2, ""); len(c.Users) > 0 {
		w.calls = append(w.calls, c)
	}
}

// answer ends a call, which was carried out for some, and of which the worker heard or did not.
func (w *timedWorld) answer(t *rapid.T) {
	if len(w.calls) == 0 {
		return
	}
	c := w.calls[0]
	w.calls = w.calls[1:]
	for _, u := range c.Users {
		s := ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}}
		switch rapid.IntRange(0, 4).Draw(t, "answer") {
		case 0: // cut, with an effect or without
			w.apply(t, c, u, rapid.Bool().Draw(t, "applied"))
			s = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Retry, Effect: c.Operation}
		case 1:
		default:
			w.apply(t, c, u, true)
			s = ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, Effect: c.Operation}
		}
		if _, err := w.Settle(w.t.Context(), c.ID, []ledger.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *timedWorld) apply(_ *rapid.T, c ledger.Claim, u ledger.Claimed, applied bool) {
	if applied {
		w.blocked[u.User] = c.Operation == ledger.Block
	}
}

// lose ends the workers of all calls, which may have been carried out, and lets their claims run out.
func (w *timedWorld) lose() {
	for i, c := range w.calls {
		for _, u := range c.Users {
			w.apply(nil, c, u, i%2 == 0)
		}
	}
	w.calls = nil
	later, err := w.rdb.ZRange(w.t.Context(), w.key("later"), 0, -1).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range later {
		if err := w.rdb.ZAdd(w.t.Context(), w.key("later"), redis.Z{Score: 1, Member: u}).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// check sums up the counts of each job: what is not pending by them has ended by the records.
func (w *timedWorld) check(t *rapid.T) {
	pending := 0
	for _, id := range w.jobs {
		j := w.counts(id)
		if j.Counts.Ended() > j.Accepted {
			t.Fatalf("%s: %d of %d have ended", id, j.Counts.Ended(), j.Accepted)
		}
		pending += j.Pending()
	}
	entries, err := w.Entries(w.t.Context(), w.users)
	ok(t, err)
	open := 0
	for _, e := range entries {
		if !e.State.Ended() && e.State != ledger.Unknown && e.Job.Counted {
			open++
		}
	}
	if pending != open {
		t.Fatalf("%d users are pending by the counts, %d by the records", pending, open)
	}
}

// finish ends what is due and lets everything be carried out.
func (w *timedWorld) finish(t *rapid.T) {
	w.lose()
	for range 8 {
		w.endBlocks()
		c := w.claim(10, "")
		for _, u := range c.Users {
			w.apply(t, c, u, true)
			s := ledger.Settlement{User: u.User, Version: u.Version, Do: ledger.Succeed, Effect: c.Operation}
			_, err := w.Settle(w.t.Context(), c.ID, []ledger.Settlement{s})
			ok(t, err)
		}
		w.lose()
	}
	w.check(t)
	entries, err := w.Entries(w.t.Context(), w.users)
	ok(t, err)
	for _, e := range entries {
		a, was := w.last[e.User]
		if !was || e.State == ledger.Dead {
			continue
		}
		want := a.op == ledger.Block && a.ends != 1
		if e.State != ledger.Succeeded || w.blocked[e.User] != want {
			t.Fatalf("%v: blocked %v; last asked for %+v; %+v", e.User, w.blocked[e.User], a, e)
		}
	}
}

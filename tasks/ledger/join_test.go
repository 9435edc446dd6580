package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// Names of one person: its number, and others.
const (
	person    = "+16505550100"
	bsuid     = "US.13491208655302741918"
	otherBSID = "US.700000000000000002"
)

func limits() ledger.NameLimits { return ledger.NameLimits{Age: 30 * 24 * time.Hour, Names: 200_000} }

// join learns that names are the person's of a number.
func (f *fixture) join(number string, names ...string) []user.ID {
	f.t.Helper()
	return f.joinAt(number, time.Now(), names...)
}

func (f *fixture) joinAt(number string, at time.Time, names ...string) []user.ID {
	f.t.Helper()
	var all []ledger.Named
	for _, n := range names {
		all = append(all, ledger.Named{Name: named(f.t, n), WaID: number[1:], At: at})
	}
	was, err := f.Join(f.t.Context(), all, limits())
	if err != nil {
		f.t.Fatal(err)
	}
	return was
}

// TestJoinedNamesAreOneUser asks under one name and is answered under the other.
func TestJoinedNamesAreOneUser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		number, id := named(t, person), named(t, bsuid)
		f.join(person, bsuid)
		v := f.version()
		if got := f.mark(ledger.Block, ledger.Bulk, v, id); got != "w" {
			t.Fatalf("marked: %v", got)
		}
		c := f.claim(2, "")
		if d := cmp.Diff([]ledger.Claimed{{User: number, Version: v}}, c.Users, cmp.Comparer(func(a, b user.ID) bool { return a == b })); d != "" {
			t.Fatal(d)
		}
		f.settle(c, ledger.Settlement{Do: ledger.Succeed, WaID: person[1:], Effect: ledger.Block})
		for _, u := range []user.ID{number, id} {
			if e := f.entry(u); e.User != u || e.State != ledger.Succeeded || e.Version != v || e.WaID != person[1:] {
				t.Errorf("%v: %+v", u, e)
			}
		}
		older := f.mark(ledger.Unblock, ledger.Bulk, v-1, id)
		if older != "n" || f.mark(ledger.Block, ledger.Bulk, v, number) != "s" {
			t.Errorf("an older request under another name: %v", older)
		}
	})
}

// TestJoinMakesOneRecordOfTwo joins two names in every pair of states in which their requests may be.
func TestJoinMakesOneRecordOfTwo(t *testing.T) {
	t.Parallel()
	type want struct {
		state ledger.State
		calls int // that follow
	}
	const w, fl, s, d = "waiting", "in flight", "succeeded", "dead"
	for name, c := range map[[2]string]want{ // states of the older and of the newer request, which want the opposite
		{w, w}: {ledger.Waiting, 1}, {w, fl}: {ledger.InFlight, 0}, {w, s}: {ledger.Waiting, 1}, {w, d}: {ledger.Dead, 0},
		{fl, w}: {ledger.Waiting, 1}, {fl, fl}: {ledger.InFlight, 1}, {fl, s}: {ledger.Waiting, 1}, {fl, d}: {ledger.Waiting, 1},
		{s, w}: {ledger.Waiting, 1}, {s, fl}: {ledger.InFlight, 0}, {s, s}: {ledger.Waiting, 1}, {s, d}: {ledger.Dead, 0},
		{d, w}: {ledger.Waiting, 1}, {d, fl}: {ledger.InFlight, 0}, {d, s}: {ledger.Waiting, 1}, {d, d}: {ledger.Dead, 0},
	} {
		for _, newerIs := range []string{person, bsuid} {
			t.Run(fmt.Sprintf("%s, then %s under %s", name[0], name[1], newerIs[:2]), func(t *testing.T) {
				t.Parallel()
				each(t, func(t *testing.T, f *fixture) {
					names := []user.ID{named(t, bsuid), named(t, person)}
					if newerIs == bsuid {
						slices.Reverse(names)
					}
					ops := []ledger.Operation{ledger.Block, ledger.Unblock}
					calls := make([]ledger.Claim, 2)
					for i, u := range names {
						f.mark(ops[i], ledger.Bulk, f.version(), u)
						switch name[i] {
						case fl:
							calls[i] = f.claim(1, ops[i])
						case s:
							f.settle(f.claim(1, ops[i]), ledger.Settlement{Do: ledger.Succeed, Effect: ops[i]})
						case d:
							f.settle(f.claim(1, ops[i]), ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}, Effect: ops[i]})
						}
					}
					f.join(person, bsuid)
					for _, u := range names {
						if e := f.entry(u); e.State != c.state || e.Operation != ledger.Unblock {
							t.Errorf("%v: %+v", u, e)
						}
					}
					n, err := f.rdb.HLen(t.Context(), "wablock:{"+phoneNumberID+"}:users").Result()
					if err != nil || n != 1 {
						t.Fatalf("%d records, %v", n, err)
					}
					if out := name[0] == fl || name[1] == fl; out {
						if c := f.claim(2, ""); len(c.Users) > 0 {
							t.Fatalf("claimed beside a call that is out: %+v", c)
						}
					}
					for i, call := range calls {
						if call.ID != "" {
							f.settle(call, ledger.Settlement{Do: ledger.Succeed, Effect: ops[i]})
						}
					}
					f.expire()
					followed := 0
					for ; followed < 3; followed++ {
						call := f.claim(2, "")
						if len(call.Users) == 0 {
							break
						}
						f.settle(call, ledger.Settlement{Do: ledger.Succeed, Effect: call.Operation})
					}
					if followed != c.calls {
						t.Errorf("%d calls follow, want %d", followed, c.calls)
					}
					if b, err := f.Backlog(t.Context()); err != nil || !b.Empty() {
						t.Errorf("what is left: %+v, %v", b, err)
					}
				})
			})
		}
	}
}

// TestJoinBesideADiscarded: of two requests the newer one was discarded, while the older one is in a call. What is asked for
// next waits for that call, whichever operation it has by now.
func TestJoinBesideADiscarded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		number, id := named(t, person), named(t, bsuid)
		f.mark(ledger.Block, ledger.Bulk, f.version(), number)
		call := f.claim(1, "")
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), number) // the call goes on with the block
		v := f.version()
		f.mark(ledger.Block, ledger.Bulk, v, id)
		f.settle(f.claim(1, ""), ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047}})
		if ok, err := f.Discard(t.Context(), id, v); !ok || err != nil {
			t.Fatal(ok, err)
		}
		f.join(person, bsuid)
		if e := f.entry(number); e.State != ledger.Discarded {
			t.Fatalf("%+v", e)
		}
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), id)
		if c := f.claim(1, ""); len(c.Users) > 0 {
			t.Fatalf("claimed beside a call that is out: %+v", c)
		}
		f.settle(call, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
		f.outlast()
		if c := f.claim(1, ""); len(c.Users) != 1 || c.Operation != ledger.Unblock {
			t.Errorf("%+v", c)
		}
	})
}

// TestJoinKeepsWhatWasToldLast has names told in another order than they changed.
func TestJoinKeepsWhatWasToldLast(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		const next = "+16505550199"
		id, now := named(t, bsuid), time.Now()
		f.joinAt(person, now.Add(-time.Hour), bsuid)
		f.mark(ledger.Block, ledger.Bulk, f.version(), id)
		if was := f.joinAt(next, now.Add(-2*time.Hour), bsuid); !was[0].IsZero() {
			t.Errorf("older news: %v", was)
		}
		if was := f.joinAt(next, now, bsuid); was[0] != named(t, person) {
			t.Errorf("newer news: %v", was)
		}
		if e := f.entry(id); e.State != ledger.Unknown {
			t.Errorf("the new person: %+v", e)
		}
		if e := f.entry(named(t, person)); e.State != ledger.Waiting {
			t.Errorf("the old person: %+v", e)
		}
		// A number that had names turns out to be another spelling of one.
		f.joinAt(person, now, otherBSID)
		f.joinAt(next, now, person)
		f.mark(ledger.Unblock, ledger.Bulk, f.version(), named(t, otherBSID))
		if e := f.entry(named(t, next)); e.Operation != ledger.Unblock {
			t.Errorf("through two names: %+v", e)
		}
		f.joinAt(person, now, next) // the other way round: they are one already
		if e := f.entry(named(t, person)); e.Operation != ledger.Unblock {
			t.Errorf("the other way round: %+v", e)
		}
	})
}

// TestJoinCountsAndCancels has two jobs for one person: the older ends as superseded, and comes back when the newer one
// is canceled.
func TestJoinCountsAndCancels(t *testing.T) {
	t.Parallel()
	for _, newerIs := range []string{person, bsuid} {
		t.Run(newerIs[:2], func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, f *fixture) {
				names := []user.ID{named(t, bsuid), named(t, person)}
				if newerIs == bsuid {
					slices.Reverse(names)
				}
				var versions []ledger.Version
				for i, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
					v, err := f.Register(t.Context(), ledger.JobRecord{ID: fmt.Sprint(i), Operation: op, Queue: ledger.Bulk, Accepted: 1, Parts: 1}, ledger.Text{}, 0, ledger.JobLimits{})
					if err != nil {
						t.Fatal(err)
					}
					versions = append(versions, v)
					if _, err := f.Mark(t.Context(), []ledger.Request{{User: names[i], Operation: op, Queue: ledger.Bulk, Version: v, Job: ledger.JobRef{Counted: true, Part: 1}}}); err != nil {
						t.Fatal(err)
					}
				}
				f.join(person, bsuid)
				pending := func(want ...int) {
					t.Helper()
					jobs, err := f.JobsOf(t.Context(), versions)
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(want, []int{jobs[versions[0]].Pending(), jobs[versions[1]].Pending(), jobs[versions[0]].Counts.Superseded}); d != "" {
						t.Errorf("pending of both, superseded of the older: %s", d)
					}
				}
				pending(0, 1, 1)
				if _, err := f.Cancel(t.Context(), versions[1]); err != nil {
					t.Fatal(err)
				}
				if err := f.Withdraw(t.Context(), versions[1], 1, names[1:]); err != nil {
					t.Fatal(err)
				}
				pending(1, 0, 0)
				c := f.claim(2, "")
				if len(c.Users) != 1 || c.Operation != ledger.Block || c.Users[0].Version != versions[0] {
					t.Fatalf("after the cancel: %+v", c)
				}
				f.settle(c, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
				pending(0, 0, 0)
			})
		})
	}
}

// TestOneJobNamesAPersonTwice counts each of a job's users once, in one part and in two.
func TestOneJobNamesAPersonTwice(t *testing.T) {
	t.Parallel()
	for _, parts := range []int{1, 2} {
		for _, joinFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d parts, known before %v", parts, joinFirst), func(t *testing.T) {
				t.Parallel()
				each(t, func(t *testing.T, f *fixture) {
					v, err := f.Register(t.Context(), ledger.JobRecord{ID: "j", Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 2, Parts: parts}, ledger.Text{}, 0, ledger.JobLimits{})
					if err != nil {
						t.Fatal(err)
					}
					if joinFirst {
						f.join(person, bsuid)
					}
					var all []ledger.Request
					for i, n := range []string{bsuid, person} {
						all = append(all, ledger.Request{User: named(t, n), Operation: ledger.Block, Queue: ledger.Bulk, Version: v, Job: ledger.JobRef{Counted: true, Part: 1 + i*(parts-1)}})
					}
					for chunk := range slices.Chunk(all, 2/parts) {
						if _, err := f.Mark(t.Context(), chunk); err != nil {
							t.Fatal(err)
						}
					}
					f.join(person, bsuid)
					c := f.claim(2, "")
					if len(c.Users) != 1 {
						t.Fatalf("%+v", c)
					}
					f.settle(c, ledger.Settlement{Do: ledger.Succeed, Effect: ledger.Block})
					jobs, err := f.JobsOf(t.Context(), []ledger.Version{v})
					if n := jobs[v].Counts; err != nil || n.Succeeded != 1 || n.Superseded != 1 || jobs[v].Pending() != 0 {
						t.Errorf("%+v, %v", n, err)
					}
				})
			})
		}
	}
}

// TestNamesOfStrangersAreBounded drops the oldest names, and keeps those of persons with a record.
func TestNamesOfStrangersAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		few := ledger.NameLimits{Age: time.Hour, Names: 10}
		f.mark(ledger.Block, ledger.Bulk, f.version(), named(t, person))
		f.joinAt(person, time.Now().Add(-30*time.Minute), bsuid)
		for n := range 40 {
			if _, err := f.Join(t.Context(), []ledger.Named{{Name: named(t, fmt.Sprintf("US.%d", n)), WaID: fmt.Sprintf("1650556%04d", n), At: time.Now()}}, few); err != nil {
				t.Fatal(err)
			}
		}
		sizes := func() (n []int64) {
			for _, key := range []string{"persons", "names"} {
				size, err := f.rdb.HLen(t.Context(), "wablock:{"+phoneNumberID+"}:"+key).Result()
				if err != nil {
					t.Fatal(err)
				}
				n = append(n, size)
			}
			return n
		}
		// One that was just told, and one in whose stead the name of the person with a record was looked at.
		if got := sizes(); got[0] > 12 || got[1] > 12 {
			t.Errorf("names kept: %v", got)
		}
		if e := f.entry(named(t, bsuid)); e.State != ledger.Waiting {
			t.Errorf("the name of a user with a record: %+v", e)
		}
		few.Age = -time.Hour // all are too old
		for range 2 {
			if _, err := f.Join(t.Context(), []ledger.Named{{Name: named(t, "US.0"), WaID: "16505560000"}}, few); err != nil {
				t.Fatal(err)
			}
		}
		if got := sizes(); got[0] > 2 {
			t.Errorf("old names kept: %v", got)
		}
	})
}

// TestJoinedPersonsAsAModel asks for persons under many names, learns at any time that two of them are one, and lets calls
// overlap and fail. When all has ended the list is as the last request for each person wants it; and no call begins
// for a person under one name while another is out under a name that was known to be the same.
func TestJoinedPersonsAsAModel(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			runs++
			m := newJoining(t, rdb, fmt.Sprintf("3%014d", runs), rapid.SampledFrom([]int{1, 2, 50}).Draw(rt, "persons"))
			rt.Repeat(map[string]func(*rapid.T){"ask": m.ask, "claim": m.claim, "end": m.end, "end too": m.end, "learn": m.learn})
			m.finish(rt)
		})
	})
}

type joining struct {
	*persons
	known map[user.ID]bool // names that were learnt; the number of each person is from the start
}

func newJoining(t *testing.T, rdb redis.UniversalClient, phoneNumberID string, n int) *joining {
	p := &persons{Ledger: ledger.New(rdb, phoneNumberID), t: t, rdb: rdb, key: "wablock:{" + phoneNumberID + "}:later"}
	p.blocked, p.wanted, p.waID = map[string]bool{}, map[string]ledger.Operation{}, map[user.ID]string{}
	m := &joining{persons: p, known: map[user.ID]bool{}}
	p.hidden = true
	for i := range n {
		waID := fmt.Sprintf("55928172%04d", i)
		for j, name := range []string{"+" + waID, "+5592981" + waID[7:], "US." + waID + "000000", "US." + waID + "000001"} {
			u := named(t, name)
			p.names = append(p.names, u)
			p.waID[u], m.known[u] = waID, j == 0
		}
	}
	return m
}

func (m *joining) learn(t *rapid.T) {
	m.learnAll(t, rapid.SliceOfN(rapid.SampledFrom(m.names), 1, 4).Draw(t, "names"))
}

func (m *joining) learnAll(t *rapid.T, names []user.ID) {
	var all []ledger.Named
	for _, u := range names {
		all = append(all, ledger.Named{Name: u, WaID: m.waID[u], At: time.Now()})
		m.known[u] = true
	}
	was, err := m.Join(m.t.Context(), all, limits())
	ok(t, err)
	for _, u := range was {
		if !u.IsZero() {
			t.Fatalf("another person's: %v", u)
		}
	}
}

func (m *joining) claim(t *rapid.T) {
	before := len(m.calls)
	m.persons.claim(t)
	if len(m.calls) == before {
		return
	}
	held := map[string]bool{} // persons that are in a call, by names that are known
	for _, c := range m.calls[:before] {
		for _, u := range c.Users {
			held[m.waID[u.User]] = held[m.waID[u.User]] || m.known[u.User]
		}
	}
	for _, u := range m.calls[before].Users {
		if m.known[u.User] && held[m.waID[u.User]] {
			t.Fatalf("%v is called for while the person is in a call", u.User)
		}
		held[m.waID[u.User]] = held[m.waID[u.User]] || m.known[u.User]
	}
}

// finish ends all, then learns all names, and ends what follows.
func (m *joining) finish(t *rapid.T) {
	for len(m.calls) > 0 {
		m.end(t)
	}
	m.learnAll(t, m.names[:min(len(m.names), ledger.MaxBatch)])
	m.drain(t)
}

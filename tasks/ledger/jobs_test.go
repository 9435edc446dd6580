package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

// job registers a job of n users in parts.
func (f *fixture) job(id string, op ledger.Operation, n, parts int) ledger.Version {
	f.t.Helper()
	return f.register(ledger.JobRecord{ID: id, Operation: op, Queue: ledger.Bulk, Accepted: n, Parts: parts, At: 1}, 0, ledger.JobLimits{})
}

func (f *fixture) register(j ledger.JobRecord, wanted ledger.Version, limits ledger.JobLimits) ledger.Version {
	f.t.Helper()
	text := ledger.Text{By: "ana@trust", Reason: "spam"}
	j.Text = text.Digest()
	v, err := f.Register(f.t.Context(), j, text, wanted, limits)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// markPart marks a part of a counted job.
func (f *fixture) markPart(op ledger.Operation, v ledger.Version, part int, users ...user.ID) string {
	f.t.Helper()
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{
			User: u, Operation: op, Queue: ledger.Bulk, Version: v,
			Job: ledger.JobRef{Counted: true, Text: ledger.Text{By: "ana@trust", Reason: "spam"}.Digest(), Part: part},
		}
	}
	states, err := f.Mark(f.t.Context(), requests)
	if err != nil {
		f.t.Fatal(err)
	}
	var letters strings.Builder
	for _, s := range states {
		letters.WriteByte(byte(s))
	}
	return letters.String()
}

func (f *fixture) counts(id string) ledger.JobRecord {
	f.t.Helper()
	j, ok, err := f.JobByID(f.t.Context(), id)
	if err != nil || !ok {
		f.t.Fatalf("job %s: %v, %v", id, ok, err)
	}
	return j
}

func (f *fixture) wantCounts(id string, want ledger.Counts, pending int) {
	f.t.Helper()
	got := f.counts(id)
	want.Known, want.LastEnded, want.Flagged = true, got.Counts.LastEnded, got.Counts.Flagged
	if diff := cmp.Diff(want, got.Counts); diff != "" || got.Pending() != pending {
		f.t.Errorf("job %s: %d pending, want %d\n%s", id, got.Pending(), pending, diff)
	}
}

func TestJobCounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		a, b, c, d := num(t, 1), num(t, 2), num(t, 3), num(t, 4)
		first := f.job("first", ledger.Block, 4, 2)
		second := f.job("second", ledger.Unblock, 2, 1)
		f.markPart(ledger.Unblock, second, 1, a, b)
		if got := f.markPart(ledger.Block, first, 1, a, c); got != "nw" {
			t.Errorf("marked %s", got)
		}
		for range 2 {
			f.markPart(ledger.Block, first, 1, a, c) // again: counted once
			f.markPart(ledger.Block, first, 0, c)
		}
		f.markPart(ledger.Block, first, 2, b, d)
		f.wantCounts("first", ledger.Counts{Superseded: 2}, 2)

		claim := f.claim(10, ledger.Block)
		f.settle(claim, ledger.Settlement{Do: ledger.Kill, Failure: &ledger.Failure{Code: 131047, Message: `"code":1`}})
		f.settle(claim, ledger.Settlement{Do: ledger.Kill}) // a reply that got lost
		f.wantCounts("first", ledger.Counts{Superseded: 2, Dead: 2, Codes: map[int]int{131047: 2}}, 0)

		claim = f.claim(1, ledger.Unblock)
		third := f.job("third", ledger.Block, 2, 1)
		f.markPart(ledger.Block, third, 1, a, b) // one is in flight
		f.settle(claim, ledger.Settlement{Do: ledger.Succeed})
		f.wantCounts("second", ledger.Counts{Superseded: 2}, 0)
		f.wantCounts("third", ledger.Counts{}, 2)
		claim = f.claim(10, ledger.Block)
		f.settle(claim, ledger.Settlement{Do: ledger.Succeed})
		f.wantCounts("third", ledger.Counts{Succeeded: 2}, 0)
		late := []ledger.Settlement{{User: a, Version: second, Do: ledger.Succeed, Effect: ledger.Unblock}}
		if _, err := f.Settle(t.Context(), "lost", late); err != nil {
			t.Fatal(err)
		}
		f.wantCounts("third", ledger.Counts{Succeeded: 1}, 1)
		if e := f.entry(b); e.Job.Text == "" || e.Base != "" || !e.Job.Counted {
			t.Errorf("%+v", e)
		}
		if j := f.counts("third"); j.By.By != "ana@trust" || j.By.Reason != "spam" || j.ID != "third" || j.Version != third {
			t.Errorf("%+v", j)
		}
	})
}

// TestRegister: versions are distinct, one attempt more is the same job, and the oldest go.
func TestRegister(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		j := ledger.JobRecord{ID: "a", Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 1, Parts: 1, Request: "x"}
		v := f.register(j, 0, ledger.JobLimits{})
		if again := f.register(j, 0, ledger.JobLimits{}); again != v {
			t.Errorf("repeated: %d, first %d", again, v)
		}
		other := j
		other.Request = "y"
		w := f.register(other, 0, ledger.JobLimits{})
		if w <= v || f.counts("a").Version != w {
			t.Errorf("another request: %d after %d", w, v)
		}
		f.markPart(ledger.Block, w, 1, num(t, 1))
		if again := f.register(other, 0, ledger.JobLimits{}); again <= w {
			t.Errorf("after it was marked: %d after %d", again, w)
		}
		seen := map[ledger.Version]bool{}
		for i := range 50 {
			j.ID = string(rune('A' + i))
			at := f.register(j, 1_000_000, ledger.JobLimits{})
			if seen[at] || at < 1_000_000 || at > 2_000_000 {
				t.Fatalf("version %d twice, or far off", at)
			}
			seen[at] = true
		}
		j.ID = "timed"
		j.Ends = time.Now().Add(time.Hour).UnixMilli()
		timed := f.register(j, 0, ledger.JobLimits{})
		if next := f.version(); next <= timed+1 {
			t.Errorf("the version behind a timed block's was given out: %d, %d", timed, next)
		}
		j.Ends = 0
		for i := range 10 {
			j.ID = "last" + string(rune('0'+i))
			f.register(j, 0, ledger.JobLimits{Jobs: 5})
		}
		versions, err := f.JobVersions(t.Context(), 0, 100)
		if err != nil || len(versions) != 5 {
			t.Errorf("%d jobs are kept, %v; want 5", len(versions), err)
		}
		if _, found, err := f.JobByID(t.Context(), "A"); found || err != nil {
			t.Errorf("a job that was dropped: %v, %v", found, err)
		}
	})
}

// TestLargeJobsAreKept: few jobs to keep are no reason to drop a large one that runs.
func TestLargeJobsAreKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for _, id := range []string{"a", "b"} {
			j := ledger.JobRecord{ID: id, Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 64_000, Parts: 64}
			f.register(j, 0, ledger.JobLimits{Jobs: 10})
		}
		if _, found, err := f.JobByID(t.Context(), "a"); !found || err != nil {
			t.Errorf("the first job: %v, %v", found, err)
		}
	})
}

// TestDropTexts: who asked and why stays while a record or a job names it.
func TestDropTexts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		v := f.job("a", ledger.Block, 1, 1)
		f.markPart(ledger.Block, v, 1, num(t, 1))
		digest := ledger.Text{By: "ana@trust", Reason: "spam"}.Digest()
		kept := func() bool {
			texts, err := f.Texts(t.Context(), []string{digest})
			if err != nil {
				t.Fatal(err)
			}
			return texts[digest].By == "ana@trust"
		}
		var none, some ledger.UsedTexts
		some.Add(digest)
		drop := func(used *ledger.UsedTexts, want int) {
			if n, err := f.DropTexts(t.Context(), used); n != want || err != nil {
				t.Errorf("dropped %d, %v; want %d", n, err, want)
			}
		}
		drop(&none, 0) // the job names it
		other := ledger.JobRecord{ID: "b", Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 1, Parts: 1}
		for range 2 { // a repeated registration with another request takes the place of an older one
			other.ID += "b"
			if _, err := f.Register(t.Context(), other, ledger.Text{}, 0, ledger.JobLimits{Jobs: 1}); err != nil {
				t.Fatal(err)
			}
		}
		drop(&some, 0) // a record names it
		if !kept() {
			t.Error("a text that is in use was dropped")
		}
		drop(&ledger.UsedTexts{}, 1)
		if kept() {
			t.Error("a text that is not in use was kept")
		}
	})
}

// TestVersionOfALostJob: a job whose registration a failover lost, while the clock was set back, shares its version with
// another one. Its users, which its task marks nevertheless, are counted at neither; a timed block of it is lost.
func TestVersionOfALostJob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		prefix := "wablock:{" + phoneNumberID + "}:"
		ahead := time.Now().Add(time.Hour).UnixMicro()
		if err := f.rdb.Set(t.Context(), prefix+"version", ahead, 0).Err(); err != nil {
			t.Fatal(err)
		}
		record := ledger.JobRecord{ID: `lost "<1>"`, Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 3, Parts: 1}
		lost := f.register(record, 0, ledger.JobLimits{})
		if err := f.rdb.Del(t.Context(), prefix+"jobs", prefix+"jobs:counts", prefix+"jobs:ids", prefix+"jobs:order").Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.rdb.Set(t.Context(), prefix+"version", ahead, 0).Err(); err != nil {
			t.Fatal(err)
		}
		record.ID, record.Accepted = `kept "<2>"`, 1
		if kept := f.register(record, 0, ledger.JobLimits{}); kept != lost {
			t.Fatalf("version %d, want %d, which got lost", kept, lost)
		}
		mark := func(id string, op ledger.Operation, ends int64, users ...user.ID) (letters string) {
			requests := make([]ledger.Request, len(users))
			for i, u := range users {
				requests[i] = ledger.Request{User: u, Operation: op, Queue: ledger.Bulk, Version: lost, Job: ledger.JobRef{Counted: true, ID: id, Part: 1, Ends: ends}}
			}
			states, err := f.Mark(t.Context(), requests)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range states {
				letters += string(rune(s))
			}
			return letters
		}
		u := []user.ID{num(t, 0), num(t, 1), num(t, 2), num(t, 3), num(t, 4)}
		for i, tt := range []struct{ got, want string }{
			{mark(`lost "<1>"`, ledger.Block, 0, u[0], u[1]), "ww"},
			{mark(`kept "<2>"`, ledger.Block, 0, u[2]), "w"},
			{mark(`lost "<1>"`, ledger.Unblock, 0, u[2], u[3]), "nw"},
			{mark(`lost "<1>"`, ledger.Block, time.Now().Add(time.Hour).UnixMilli(), u[3], u[4]), "nn"},
			{mark("", ledger.Block, 0, u[2]), "w"},
		} {
			if tt.got != tt.want {
				t.Errorf("mark %d: %s, want %s", i, tt.got, tt.want)
			}
		}
		c := f.claim(10, "")
		settlements := make([]ledger.Settlement, len(c.Users))
		for i, one := range c.Users {
			settlements[i] = ledger.Settlement{User: one.User, Version: one.Version, Do: ledger.Succeed}
		}
		if _, err := f.Settle(t.Context(), c.ID, settlements); err != nil {
			t.Fatal(err)
		}
		j, found, err := f.JobByID(t.Context(), `kept "<2>"`)
		if err != nil || !found || j.Counts.Succeeded != 1 || j.Counts.Ended() != 1 {
			t.Errorf("%+v, found %t, %v", j, found, err)
		}
	})
}

// TestVersionsStayOneJobsOwn: with the clock set back versions count up one by one, and a version that was taken out of
// turn, for an undo, is passed over.
func TestVersionsStayOneJobsOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		ahead := time.Now().Add(time.Hour).UnixMicro()
		if err := f.rdb.Set(t.Context(), "wablock:{"+phoneNumberID+"}:version", ahead, 0).Err(); err != nil {
			t.Fatal(err)
		}
		seen := map[ledger.Version]bool{}
		take := func(id string, wanted ledger.Version, ends int64) ledger.Version {
			v := f.register(ledger.JobRecord{ID: id, Operation: ledger.Block, Queue: ledger.Bulk, Accepted: 1, Parts: 1, Ends: ends}, wanted, ledger.JobLimits{})
			if seen[v] || ends > 0 && seen[v+1] {
				t.Errorf("job %s has version %d, which another one has", id, v)
			}
			seen[v] = true
			if ends > 0 {
				seen[v+1] = true // of the end
			}
			return v
		}
		for n := range 6 {
			ends := int64(0)
			if n%2 == 0 {
				ends = ahead
			}
			v := take(fmt.Sprint("job ", n), 0, ends)
			take(fmt.Sprint("undo of ", n), v+2, 0)
		}
	})
}

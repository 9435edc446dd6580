package simulator_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
)

func TestJournal(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{})
	g.block("16505551234", "+1 (650) 555-0000", "+15550131047")
	g.list("?limit=7")
	calls := g.Journal()
	if len(calls) != 2 || g.Dropped() != 0 {
		t.Fatalf("%d calls", len(calls))
	}
	c := calls[0]
	if c.Seq != 1 || c.Operation != simulator.Block || c.PhoneNumberID != phone || c.Status != 400 || c.Code != 139100 ||
		c.Begun >= c.Ended || c.End.Before(c.Begin) {
		t.Errorf("%+v", c)
	}
	want := []simulator.CallUser{
		{User: "+16505551234", Outcome: simulator.OutcomeSucceeded},
		{User: "+16505550000", Outcome: simulator.OutcomeSucceeded},
		{User: "+15550131047", Outcome: simulator.OutcomeFailed, Code: 131047},
	}
	if diff := cmp.Diff(want, c.Users); diff != "" {
		t.Error(diff)
	}
	if c := calls[1]; c.Operation != simulator.List || c.Entries != 2 || c.Begun < calls[0].Ended {
		t.Errorf("%+v", c)
	}
	read, dropped, err := simulator.ReadJournal(strings.NewReader(g.raw(httptest.NewRequest("GET", "/_simulator/journal", nil))))
	if err != nil || dropped != 0 {
		t.Fatal(dropped, err)
	}
	for i := range calls { // wall clocks go through JSON without their monotonic reading
		calls[i].Begin, calls[i].End = calls[i].Begin.Round(0), calls[i].End.Round(0)
	}
	if diff := cmp.Diff(calls, read); diff != "" {
		t.Error(diff)
	}
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits simulator.JournalLimits
		want   []int64
	}{
		"calls": {simulator.JournalLimits{Calls: 3}, []int64{6, 7, 8}},
		"users": {simulator.JournalLimits{Users: 11}, []int64{7, 8}},
		"one":   {simulator.JournalLimits{Users: 1}, []int64{8}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := setup(t, simulator.Scenario{Journal: c.limits})
			for range 8 {
				g.block(users(5)...)
			}
			var got []int64
			for _, call := range g.Journal() {
				got = append(got, call.Seq)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || g.Dropped() != int64(8-len(got)) {
				t.Error(diff, g.Dropped())
			}
			_, dropped, err := simulator.ReadJournal(strings.NewReader(g.raw(httptest.NewRequest("GET", "/_simulator/journal?since=7", nil))))
			if err != nil || dropped != g.Dropped() {
				t.Error(dropped, err)
			}
		})
	}
}

// What callers send for a user is only echoed: 10,000 calls of a megabyte each must not stay.
func TestJournalCutsLongNames(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{Blocking: simulator.Blocking{ParentUserIDs: true}})
	longest := "US.ENT." + strings.Repeat("1", 128)
	long := strings.Repeat("é", 100_000)
	if r := g.block(long, longest); r.Users.Failed[0].Input != long || len(r.Users.Added) != 1 {
		t.Fatalf("answered %.300s", r.Raw)
	}
	users := g.Journal()[0].Users
	if n := len(users[0].User); n > 200 || !strings.HasPrefix(long, strings.TrimSuffix(users[0].User, "…")) {
		t.Errorf("keeps %d bytes of a name", n)
	}
	if users[1].User != longest {
		t.Errorf("cut a user ID to %s", users[1].User)
	}
}

func TestReadJournalRefusesHalfOfOne(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"calls":2,"dropped":0}` + "\n" + `{"seq":1}` + "\n", `{"calls":1}` + "\n" + `{"seq":`} {
		if _, _, err := simulator.ReadJournal(strings.NewReader(text)); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	call := func(seq, begun, ended int64, id string, users ...string) simulator.Call {
		c := simulator.Call{Seq: seq, Begun: begun, Ended: ended, PhoneNumberID: id}
		for _, u := range users {
			c.Users = append(c.Users, simulator.CallUser{User: u})
		}
		return c
	}
	calls := []simulator.Call{
		call(1, 1, 10, "a", "x", "y", "z"),
		call(2, 2, 3, "b", "x"),      // another phone number ID
		call(3, 4, 5, "a", "x", "x"), // inside the first, counted once
		call(4, 6, 12, "a", "x"),     // begins inside the first
		call(5, 11, 0, "a", "y"),     // after the first; in flight
		call(6, 13, 14, "a", "z"),
		call(7, 15, 16, "a", "y", "x"), // the fifth is still in flight
	}
	want := []simulator.Overlap{
		{PhoneNumberID: "a", User: "x", First: 1, Second: 3},
		{PhoneNumberID: "a", User: "x", First: 1, Second: 4},
		{PhoneNumberID: "a", User: "y", First: 5, Second: 7},
	}
	if diff := cmp.Diff(want, simulator.Overlaps(calls)); diff != "" {
		t.Error(diff)
	}
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	g := setup(t, simulator.Scenario{})
	var wg sync.WaitGroup
	for lane := range 8 {
		wg.Go(func() {
			mine := users(800)[lane*100 : lane*100+100]
			for i := range 18 { // the last of them blocks
				path := fmt.Sprintf("/%d/block_users", lane%2)
				method := map[bool]string{true: "POST", false: "DELETE"}[i%3 != 1]
				g.ServeHTTP(httptest.NewRecorder(), request(method, path, body(mine...)))
				g.ServeHTTP(httptest.NewRecorder(), request("GET", path, ""))
				_ = g.Journal()
				_ = g.Scenario()
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"0", "1"} {
		if n := len(g.Snapshot(id)); n != 400 {
			t.Errorf("%d users on list %s, want 400", n, id)
		}
	}
	if found := simulator.Overlaps(g.Journal()); len(found) != 0 {
		t.Errorf("overlaps between disjoint users: %v", found[0])
	}
}

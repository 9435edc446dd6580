package verdict

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		company []int
		calls   string // the sizes of the calls, and how many go back
	}{
		"no call timed out":                      {[]int{0, 0, 0}, "[3] 0"},
		"all were in one that did":               {slices.Repeat([]int{201}, 201), "[12] 189"},
		"others go first":                        {[]int{40, 0, 40, 40, 0}, "[2 2] 1"},
		"one that timed out alone is alone":      {[]int{1, 64, 64}, "[1] 2"},
		"a larger company goes before a smaller": {[]int{64, 1, 64, 64, 64, 64}, "[4] 2"},
		"alone":                                  {[]int{1}, "[1] 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := claimed(t, make([]int, len(c.company))...)
			for i := range users {
				users[i].Company = c.company[i]
			}
			calls, back := Apart(users, false)
			var sizes []int
			for _, call := range calls {
				sizes = append(sizes, len(call))
			}
			if got := fmt.Sprint(sizes, len(back)); got != c.calls {
				t.Errorf("%s, want %s", got, c.calls)
			}
		})
	}
}

// TestProbeApart: the call that finds out whether a pause is over goes without the users of the call that began it, and
// with one of them where there are no others.
func TestProbeApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limited []int64
		calls   string // the places of their users
	}{
		"none was limited":               {[]int64{0, 0}, "[[0 1]]"},
		"others go first":                {[]int64{7, 0, 7, 0}, "[[1 3] [0 2]]"},
		"all were":                       {[]int64{7, 7, 7}, "[[0] [1 2]]"},
		"the last probe was the first's": {[]int64{9, 7, 7}, "[[1] [0 2]]"},
		"alone":                          {[]int64{7}, "[[0]]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := claimed(t, make([]int, len(c.limited))...)
			for i := range users {
				users[i].Limited = c.limited[i]
			}
			calls, back := Apart(slices.Clone(users), true)
			var places [][]int
			for _, call := range calls {
				var in []int
				for _, u := range call {
					in = append(in, slices.Index(users, u))
				}
				places = append(places, in)
			}
			if got := fmt.Sprint(places); got != c.calls || len(back) > 0 {
				t.Errorf("%s, want %s; %d go back", got, c.calls, len(back))
			}
			if whole, _ := Apart(users, false); len(whole) != 1 {
				t.Errorf("without a pause, %d calls", len(whole))
			}
		})
	}
}

// TestPartsTellApart: a call that failed goes on in parts of those who were limited and those who were not, or in halves.
func TestPartsTellApart(t *testing.T) {
	t.Parallel()
	users := claimed(t, 0, 0, 0, 0, 0)
	if a, b := Parts(users); len(a) != 2 || len(b) != 3 {
		t.Errorf("%d and %d, want halves", len(a), len(b))
	}
	users[1].Limited = 7
	if a, b := Parts(users); len(a) != 4 || len(b) != 1 || b[0] != users[1] {
		t.Errorf("%v and %v", a, b)
	}
}

// TestApartLosesNoUser: each user is in one call, or goes back; a call has users, and a user whose call timed
// out is with no others, and with at most a part of its last company.
func TestApartLosesNoUser(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		users := claimed(t, make([]int, rapid.IntRange(1, 50).Draw(rt, "users"))...)
		for i := range users {
			users[i].Company = rapid.SampledFrom([]int{0, 0, 1, 5, 40, 1000}).Draw(rt, "company")
			users[i].Limited = rapid.SampledFrom([]int64{0, 0, 7, 8}).Draw(rt, "limited")
		}
		calls, back := Apart(slices.Clone(users), rapid.Bool().Draw(rt, "probe"))
		seen := map[user.ID]int{}
		for _, list := range append(slices.Clone(calls), back) {
			for _, u := range list {
				seen[u.User]++
			}
		}
		for _, u := range users {
			if seen[u.User] != 1 {
				rt.Fatalf("a user of company %d is in %d places", u.Company, seen[u.User])
			}
		}
		for _, call := range calls {
			if len(call) == 0 {
				rt.Fatal("a call without users")
			}
			timedOut := func(u ledger.Claimed) bool { return u.Company > 0 }
			for _, u := range call {
				if timedOut(u) != timedOut(call[0]) || timedOut(u) && len(call) > max(1, u.Company/companyShare) {
					rt.Fatalf("a user of company %d is in a call of %d", u.Company, len(call))
				}
			}
		}
	})
}

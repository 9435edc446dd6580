package learnbench

import (
	"fmt"
	"math"
	"testing"
)

// targetSeeds keeps the tests short; the table plays more.
const targetSeeds = 3

func law(s scenario, seed uint64) (result, []call) { return play(s, contenders()[0], seed) }

// both plays a scenario with one and with eight processes, and checks that it makes no difference.
func both(t *testing.T, s scenario) (one, eight result) {
	t.Helper()
	results := map[int]result{}
	for _, p := range []int{1, 8} {
		var all []result
		for seed := range uint64(targetSeeds) {
			s.processes = p
			r, _ := law(s, seed)
			all = append(all, r)
		}
		results[p] = mean(all)
	}
	one, eight = results[1], results[8]
	if math.Abs(one.used-eight.used) > 0.03 {
		t.Errorf("one process uses %.1f %%, eight %.1f %%", 100*one.used, 100*eight.used)
	}
	return one, eight
}

func TestTokenBucketTargets(t *testing.T) {
	t.Parallel()
	targets := []struct{ limit, used, rejected float64 }{
		{0.3, 0.83, 0.06}, {1, 0.88, 0.05}, {5, 0.95, 0.02}, {20, 0.95, 0.02}, {50, 0.95, 0.02},
	}
	for _, want := range targets {
		t.Run(fmt.Sprint(want.limit), func(t *testing.T) {
			t.Parallel()
			one, eight := both(t, scenario{limit: want.limit, build: tokenBucket})
			for _, got := range []result{one, eight} {
				if got.used < want.used || got.rejected > want.rejected {
					t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
				}
			}
		})
	}
}

func TestRegainsRestoredLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []float64{5, 20, 50} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(6) { // each meets another moment of the law's cycle
				s := scenario{limit: limit, processes: 1 + 7*int(seed%2), restored: true, build: changing}
				if got, _ := law(s, seed); got.regained > 15 {
					t.Errorf("seed %d: %.1f s until 80 %% of the restored limit was used", seed, got.regained)
				}
			}
		})
	}
}

func TestLockoutTarget(t *testing.T) {
	t.Parallel()
	one, eight := both(t, scenario{limit: lockoutRate, build: lockout})
	if one.used < 0.9 || eight.used < 0.9 {
		t.Errorf("used %.1f and %.1f %%", 100*one.used, 100*eight.used)
	}
}

func TestFindsUsersPerCall(t *testing.T) {
	t.Parallel()
	for _, users := range []int{50, 200, 1000} {
		t.Run(fmt.Sprint(users), func(t *testing.T) {
			t.Parallel()
			one, eight := both(t, scenario{limit: capRate, users: users, build: capped(users)})
			for _, got := range []result{one, eight} {
				if got.found > 10 || got.filled < 0.9 {
					t.Errorf("found after %.1f refused calls, then %.1f %% full", got.found, 100*got.filled)
				}
			}
		})
	}
}

// A pause that the API stated is broken by no worker: whatever was not under way when the first of them heard of it waits.
func TestNoCallInStatedPause(t *testing.T) {
	t.Parallel()
	for _, limit := range limits {
		s := scenario{limit: limit, processes: 8, build: statedWindow}
		_, journal := law(s, 1)
		pauses := 0
		for _, refused := range journal {
			if refused.stated == 0 {
				continue
			}
			pauses++
			until := refused.told + refused.stated
			for _, c := range journal {
				if c.sent > refused.told && c.sent < until {
					t.Fatalf("%v calls/s: paused from %v to %v, call sent at %v", limit, refused.told, until, c.sent)
				}
			}
		}
		if pauses == 0 {
			t.Fatalf("%v calls/s: no pause was stated", limit)
		}
	}
}

// After a pause one call goes, and no other until it is answered.
func TestRestartsWithOneCall(t *testing.T) {
	t.Parallel()
	_, journal := law(scenario{limit: 50, processes: 8, build: statedWindow}, 1)
	for i, refused := range journal {
		if refused.stated == 0 {
			continue
		}
		restart := refused.told + refused.stated
		for _, first := range journal[i+1:] {
			if first.sent < restart {
				continue
			}
			for _, c := range journal[i+1:] {
				if c.sent > first.sent && c.sent < first.told {
					t.Fatalf("after the pause a call left at %v, and another at %v before the answer at %v", first.sent, c.sent, first.told)
				}
			}
			break
		}
	}
}

// The run depends on nothing but its seed: a table that cannot be made again proves nothing.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	s := scenario{limit: 5, processes: 8, restored: true, build: changing}
	first, _ := law(s, 3)
	if second, _ := law(s, 3); first != second {
		t.Errorf("same seed, different runs:\n%+v\n%+v", first, second)
	}
}

package learnbench

import (
	"fmt"
	"math"
	"testing"
	"time"
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
		{0.3, 0.83, 0.06}, {1, 0.88, 0.04}, {5, 0.99, 0.015}, {20, 0.99, 0.013}, {50, 0.99, 0.013},
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

// Where a fixed pace could be the best strategy, the law comes near what the best one uses.
func TestSmallBursts(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		calls       int
		limit, used float64
	}{
		{1, 5, 0.83}, {1, 20, 0.6}, {1, 50, 0.4}, {2, 5, 0.97}, {2, 20, 0.96}, {2, 50, 0.84}, {3, 5, 0.99}, {3, 20, 0.98}, {3, 50, 0.97},
	} {
		t.Run(fmt.Sprintf("burst %d at %v", want.calls, want.limit), func(t *testing.T) {
			t.Parallel()
			got := lawMean(scenario{limit: want.limit, processes: 1, build: burstOf(want.calls)})
			if got.used < want.used || got.rejected > 0.013 {
				t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
			}
		})
	}
}

// lawMean plays a scenario with some seeds.
func lawMean(s scenario) result {
	var all []result
	for seed := range uint64(targetSeeds) {
		r, _ := law(s, seed)
		all = append(all, r)
	}
	return mean(all)
}

// From the third window on a quota of each minute is spent in every window, with a refused call or two at its end.
func TestLearnsWindows(t *testing.T) {
	t.Parallel()
	for _, want := range []struct{ limit, rejected float64 }{{0.3, 0.06}, {1, 0.02}, {5, 0.02}, {20, 0.02}, {50, 0.02}} {
		t.Run(fmt.Sprint(want.limit), func(t *testing.T) {
			t.Parallel()
			const from = 2 * time.Minute
			for seed := range uint64(targetSeeds) {
				_, journal := law(scenario{limit: want.limit, processes: 1, build: fixedWindow}, seed)
				calls, refused := 0.0, 0.0
				for _, c := range journal {
					if c.at < from {
						continue
					}
					calls++
					if !c.allowed {
						refused++
					}
				}
				used := (calls - refused) / (want.limit * (runLength - from).Seconds())
				if rejected := refused / calls; used < 0.97 || rejected > want.rejected {
					t.Errorf("seed %d: used %.1f %%, rejected %.2f %%", seed, 100*used, 100*rejected)
				}
			}
		})
	}
}

// A quota for any minute is spread over a minute from the fourth window on, and so is one that begins with its first call.
func TestLearnsFloatingWindows(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*world, float64){"rolling": rolling, "from the first call": started} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, refused := 0.0, 0.0
			for seed := range uint64(targetSeeds) {
				_, journal := law(scenario{limit: 5, processes: 1, build: build}, seed)
				for _, c := range journal {
					switch {
					case c.at < 3*time.Minute:
					case c.allowed:
						calls++
					default:
						refused++
					}
				}
			}
			used := calls / (targetSeeds * 5 * (runLength - 3*time.Minute).Seconds())
			if rejected := refused / (calls + refused); used < 0.88 || rejected > 0.03 {
				t.Errorf("used %.1f %%, rejected %.2f %%", 100*used, 100*rejected)
			}
		})
	}
}

// Where the API states the wait until a window ends, the window is spread as well.
func TestLearnsStatedWindows(t *testing.T) {
	t.Parallel()
	got := lawMean(scenario{limit: 5, processes: 1, build: statedWindow})
	if got.used < 0.99 || got.rejected > 0.04 {
		t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
	}
}

func TestLearnsHourlyQuotas(t *testing.T) {
	t.Parallel()
	for _, want := range []struct{ calls, rejected float64 }{{200, 0.08}, {5000, 0.02}} {
		t.Run(fmt.Sprint(want.calls), func(t *testing.T) {
			t.Parallel()
			got := lawMean(scenario{limit: want.calls / 3600, processes: 1, build: hourly})
			if got.used < 0.99 || got.rejected > want.rejected {
				t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
			}
		})
	}
}

// A job of 64,000 numbers at a configured rate of ten calls a second, nothing known.
func TestStartsQuickly(t *testing.T) {
	t.Parallel()
	s := scenario{limit: 10, processes: 1, build: bounded, ceiling: 10}
	if got := lawMean(s); got.used < 0.91 || got.rejected > 0 {
		t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
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
	if one.used < 0.92 || eight.used < 0.92 {
		t.Errorf("used %.1f and %.1f %%", 100*one.used, 100*eight.used)
	}
	for after, used := range map[time.Duration]float64{500 * time.Millisecond: 0.88, 1500 * time.Millisecond: 0.85} {
		got := lawMean(scenario{limit: lockoutRate, processes: 1, build: lockoutAfter(after)})
		if got.used < used || got.rejected > 0.015 {
			t.Errorf("after %v: used %.1f %%, rejected %.2f %%", after, 100*got.used, 100*got.rejected)
		}
	}
}

// Where many calls are in flight when a lock-out begins, each prolongs it: the limit is met gently.
func TestGentleLockouts(t *testing.T) {
	t.Parallel()
	for after, used := range map[time.Duration]float64{500 * time.Millisecond: 0.74, 1500 * time.Millisecond: 0.72} {
		got := lawMean(scenario{limit: 20, processes: 1, build: lockoutAfter(after)})
		if got.used < used || got.rejected > 0.015 {
			t.Errorf("after %v: used %.1f %%, rejected %.2f %%", after, 100*got.used, 100*got.rejected)
		}
	}
}

// A job of 36 seconds from nothing known, with lock-outs, at a limit that is halved and restored.
func TestShortJobs(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		locks          bool
		used, rejected float64
	}{{false, 0.86, 0.08}, {true, 0.6, 0.1}} {
		var all []result
		for seed := range uint64(seeds) { // short, and different
			r, _ := law(scenario{limit: 5, processes: 1, build: shortJob(want.locks)}, seed)
			all = append(all, r)
		}
		if got := mean(all); got.used < want.used || got.rejected > want.rejected {
			t.Errorf("lock-outs %v: used %.1f %%, rejected %.2f %%", want.locks, 100*got.used, 100*got.rejected)
		}
	}
}

// A rate that was learnt before is used from the first call on.
func TestGoesOnAtTheLearntRate(t *testing.T) {
	t.Parallel()
	s := scenario{limit: 10, processes: 1, build: bounded, ceiling: 10, again: true}
	if got := lawMean(s); got.used < 0.97 || got.rejected > 0 {
		t.Errorf("used %.1f %%, rejected %.2f %%", 100*got.used, 100*got.rejected)
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

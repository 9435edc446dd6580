package ratelimit

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// In no window of time are more calls allowed than the burst and the rate give.
func TestNeverMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := Settings{
			Rate:  float64(rapid.IntRange(1, 1000).Draw(t, "tenths of a call a second")) / 10,
			Burst: rapid.IntRange(1, 20).Draw(t, "burst"),
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		m := NewMemory(func(string) Settings { return set }, MemoryConfig{
			Now: func() time.Time { return now }, Jitter: func() float64 { return 0 },
		})
		key := Key{PhoneNumberID: "1"}
		var allowed []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "takes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300_000).Draw(t, "µs")) * time.Microsecond)
			g, _ := m.Take(t.Context(), key)
			if !g.OK {
				continue
			}
			allowed = append(allowed, now)
			_ = m.Report(t.Context(), key, g, Observation{Users: 1, Served: true})
		}
		for i, from := range allowed {
			for j := i; j < len(allowed); j++ {
				// A probe goes beside the budget, once at the start.
				budget := float64(set.Burst) + 1 + set.Rate*allowed[j].Sub(from).Seconds()
				if float64(j-i+1) > budget+1e-6 {
					t.Fatalf("%d calls in %v, budget %.3f", j-i+1, allowed[j].Sub(from), budget)
				}
			}
		}
	})
}

// A wait that a Take names is long enough, and not much longer than need be.
func TestWaitIsHonest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := Settings{Rate: float64(rapid.IntRange(1, 1000).Draw(t, "tenths")) / 10, Burst: 1}.WithDefaults()
		b, now := bucket{}, Instant(1_000_000)
		v := viewOf(State{Rate: set.Rate}, now, set)
		b.tokens, b.at = int64(rapid.IntRange(0, micro-1).Draw(t, "tokens")), now
		a := b.take(v, now, set)
		if a.Reason != Pace || a.Wait <= 0 {
			t.Fatalf("%d millionths of a token: %+v", b.tokens, a)
		}
		early := b
		if got := b.take(v, now.Add(a.Wait), set); got.Reason != NotLimited {
			t.Fatalf("after %v: %+v", a.Wait, got)
		}
		if a.Wait > 3*time.Microsecond {
			if got := early.take(v, now.Add(a.Wait-3*time.Microsecond-time.Duration(2/set.Rate)*time.Microsecond), set); got.Reason != Pace {
				t.Fatalf("a call would have passed sooner: %+v", got)
			}
		}
	})
}

// Any history keeps the state within bounds, and the shared form gives it back exactly.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := Settings{
			Rate:     float64(rapid.IntRange(1, 100_000).Draw(t, "ceiling in hundredths")) / 100,
			MaxUsers: rapid.IntRange(1, 1000).Draw(t, "max users"),
		}.WithDefaults()
		now := Instant(1)
		s, c := Start(now, set), Counters{}
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "passed")))
			c.Taken += rapid.Int64Range(0, 1000).Draw(t, "taken")
			c.Served += rapid.Int64Range(0, 1000).Draw(t, "served")
			s = Next(s, anyEvent(s, c).Draw(t, "event"), now, set)

			for name, rate := range map[string]float64{"rate": s.Rate, "anchor": s.Anchor, "pace": s.Pace(now)} {
				if math.IsNaN(rate) || rate < 0 || rate > MaxRate || name != "anchor" && rate < MinRate {
					t.Fatalf("%s is %v", name, rate)
				}
			}
			if s.Rate > set.Rate {
				t.Fatalf("rate %v above the ceiling of %v", s.Rate, set.Rate)
			}
			if s.PausedUntil.Sub(now) > maxStated {
				t.Fatalf("paused for %v", s.PausedUntil.Sub(now))
			}
			if size := s.Users.Size; size < 0 || size > set.MaxUsers {
				t.Fatalf("%d users per call, at most %d", size, set.MaxUsers)
			}
			if diff := cmp.Diff(s, Decode(s.Encode(now, set))); diff != "" {
				t.Fatalf("shared form (-state +read back):\n%s", diff)
			}
		}
	})
}

func anyEvent(s State, c Counters) *rapid.Generator[Event] {
	return rapid.Custom(func(t *rapid.T) Event {
		e := Event{
			Count: c, Epoch: max(s.Epoch-rapid.Int64Range(0, 1).Draw(t, "late"), 0),
			Probe: s.Probe && rapid.Bool().Draw(t, "probe"), Due: rapid.Bool().Draw(t, "due"),
			Jitter: rapid.Float64Range(0, 0.999).Draw(t, "jitter"),
		}
		e.Users = rapid.IntRange(1, max(s.Users.Size, 1)).Draw(t, "users")
		e.Limited = rapid.Bool().Draw(t, "limited")
		e.Served = !e.Limited && rapid.Bool().Draw(t, "served")
		e.UsagePercent = rapid.IntRange(0, 150).Draw(t, "usage")
		if rapid.Bool().Draw(t, "stated") {
			e.RetryAfter = time.Duration(rapid.Int64Range(1, int64(48*time.Hour)).Draw(t, "retry after"))
		}
		return e
	})
}

func TestParseFieldsRefusesGarbage(t *testing.T) {
	t.Parallel()
	for name, flat := range map[string][]string{
		"odd": {"rate"}, "text": {"rate", "fast"}, "fraction": {"rate", "1.5"}, "overflow": {"rate", "99999999999999999999"},
	} {
		if _, err := ParseFields(flat); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

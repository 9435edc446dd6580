package ratelimit

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

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
			if size := s.Batch.Size; size < 0 || size > set.MaxUsers {
				t.Fatalf("%d users per call, at most %d", size, set.MaxUsers)
			}
			if diff := cmp.Diff(s, Decode(Encode(s, now, set))); diff != "" {
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
		e.Users = rapid.IntRange(1, max(s.Batch.Size, 1)).Draw(t, "users")
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

// A state that an older version has stored is read with what it had learnt, and the law goes on from there.
func TestReadsOlderStates(t *testing.T) {
	t.Parallel()
	now := Instant(1_000_000_000_000_000)
	old, err := ParseFields([]string{
		"pace", "19400000", "paused", "0", "probe", "0", "epoch", "12", "size", "500", "trial", "0", "every", "500000",
		"rate", "19400000", "anchor", "20000000", "recent", "19000000", "since", "999999990000000", "hold", "999999999000000",
		"step_at", "999999999500000", "users_proven", "500", "users_refused", "550", "users_sure", "1", "settled", "1",
		"served_at_since", "800", "served_at_step", "990", "taken_at_step", "995", "limit_errors", "13",
		"window", "1764100000000000", "calls", "40", "retries", "3", "prev_calls", "50", "prev_retries", "4", // the old retry budget
	})
	if err != nil {
		t.Fatal(err)
	}
	set := Settings{Rate: 50}.WithDefaults()
	s := Decode(old)
	if s.Anchor != 20 || s.Rate != 19.4 || s.Batch.Size != 500 || !s.Settled || s.Window != 0 {
		t.Fatalf("read as %+v", s)
	}
	s = Next(s, Event{Observation: Observation{Users: 500, Limited: true}, Count: Counters{Taken: 1001, Served: 1000}, Epoch: 12}, now, set)
	if s.Rate < 14 || s.Rate > 20 || s.Epoch != 13 {
		t.Errorf("after a refusal: %+v", s)
	}
}

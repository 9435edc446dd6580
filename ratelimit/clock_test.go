package ratelimit

import (
	"testing"
	"time"
)

// TestClockStepInAPause: a clock that is set by an hour while calls are refused prolongs no pause. Forward, the pause looks
// as if it had gone on for an hour; back, the refusals of before lie in the future.
func TestClockStepInAPause(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{0, time.Hour, -time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			b := met(t, 20)
			b.refuse(Observation{})
			for range 3 {
				b.probe(true)
			}
			b.now = b.now.Add(step)
			for range 3 {
				b.now = max(b.now, min(b.s.PausedUntil, b.now.Add(maxPause))) // the bucket measures a pause from when it was set
				b.hear(Event{Observation: Observation{Users: 1, Limited: true}, Epoch: b.s.Epoch, Probe: true, Jitter: 0.5})
				if left := b.s.PausedUntil.Sub(b.now); left > maxPause+windowMargin {
					t.Fatalf("paused for %v", left)
				}
			}
			b.probe(false)
			for name, at := range map[string]Instant{
				"since": b.s.Since, "step": b.s.StepAt, "fell": b.s.FellAt, "paused": b.s.PausedFrom, "spent": b.s.SpentAt,
				"refused": b.s.RefusedAt, "window": b.s.WindowAt,
			} {
				if at > b.now {
					t.Errorf("%s lies %v ahead", name, at.Sub(b.now))
				}
			}
			if b.s.Window > 0 || b.s.Spread > 0 {
				t.Errorf("a window of %v, spread over %v, was learnt", b.s.Window, b.s.Spread)
			}
		})
	}
}

// TestIdlePauseIsNotLong: a pause in which no call was there to probe is not taken for one that calls were refused in all
// the while.
func TestIdlePauseIsNotLong(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.refuse(Observation{})
	b.probe(true)
	b.now = b.s.PausedUntil.Add(3 * time.Hour)
	b.probe(true)
	if left := b.s.PausedUntil.Sub(b.now); left > maxPause+windowMargin {
		t.Errorf("paused for %v", left)
	}
}

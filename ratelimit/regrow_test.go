package ratelimit

import (
	"testing"
	"time"
)

// A rate that may grow no further rests where it is, however long calls go on.
func TestStaysAtTheCeiling(t *testing.T) {
	t.Parallel()
	b := met(t, 15)
	b.set.Rate, b.s.Anchor = 20, 15
	for range 60 {
		b.serve(time.Minute)
		if b.s.Rate < 14 {
			t.Fatalf("the rate fell to %v of a ceiling of 20, though nothing was refused", b.s.Rate)
		}
	}
	if b.s.Rate != 20 {
		t.Errorf("after an hour the rate is %v", b.s.Rate)
	}
}

// Nine tenths of an anchor are a stage of growth, whichever way they are rounded, and not its end.
func TestGrowsPastFastRegrowth(t *testing.T) {
	t.Parallel()
	for _, anchor := range []float64{16.652557, 16.652553, 3.333333, 0.7} {
		b := met(t, 20)
		b.s.Anchor, b.s.Rate = anchor, anchor/2 // as after an idle time
		b.serve(2 * time.Minute)
		if b.s.Rate < anchor && b.s.Anchor > 0 {
			t.Errorf("anchor %v: stopped at %v", anchor, b.s.Rate)
		}
	}
}

// A long lock-out halves the size down to one user. Where the ceiling is what holds the rate back, no second refusal
// comes that would settle the anchor, and the size must grow back all the same.
func TestSizeGrowsBackAtTheCeiling(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.set.Rate = 20
	b.probe(false)
	b.serve(10 * time.Second)
	b.refuse(Observation{})
	for range 12 {
		b.now = max(b.now, b.s.PausedUntil)
		users := b.s.Batch.Size
		if users == 0 {
			users = b.set.MaxUsers
		}
		b.hear(Event{Observation: Observation{Users: users, Limited: true}, Epoch: b.s.Epoch, Probe: true, Jitter: 0.5})
	}
	if b.s.Batch.Size != 1 {
		t.Fatalf("a lock-out left a size of %d", b.s.Batch.Size)
	}
	b.probe(false)
	for range 12 {
		b.serve(time.Minute)
		if trial := b.s.trial(b.now, b.set); trial > 0 {
			b.hear(Event{Observation: Observation{Users: trial, Served: true}, Epoch: b.s.Epoch, Trial: trial})
		}
	}
	if b.s.Batch.Size != 0 {
		t.Errorf("twelve minutes later calls still carry %d users", b.s.Batch.Size)
	}
}

// A limit that once was next to nothing is tried again after minutes, not hours.
func TestLowLimitIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Anchor, b.s.Rate = 0.02, 0.02
	b.refuse(Observation{})
	b.probe(false)
	if rest := b.s.RestUntil.Sub(b.now); rest > 10*time.Minute {
		t.Errorf("rests for %v", rest)
	}
}

// A trial of a larger call that is refused says nothing about the pace, whose next push must not wait for it: trials come
// about as often as a low limit is pushed.
func TestRefusedTrialLeavesTheRest(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Batch = BatchLimit{Size: 50, Proven: 50, Refused: 60, Sure: true}
	rest := b.s.RestUntil
	b.hear(Event{Observation: Observation{Users: 60, Limited: true}, Epoch: b.s.Epoch, Trial: 60, Jitter: 0.5})
	b.probe(false)
	if b.s.RestUntil != rest {
		t.Errorf("the rest moved by %v", b.s.RestUntil.Sub(rest))
	}
	b.refuse(Observation{})
	b.probe(false)
	if b.s.RestUntil <= b.now {
		t.Error("no rest after a refusal for the pace")
	}
}

// A limit that was never met is searched with each round trip, but at the ceiling there is nothing to search for: each step
// costs two round trips to Redis.
func TestStepsAreSeldomAtTheCeiling(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.set.Rate = 20
	b.probe(false)
	if every := b.s.every(b.set); every > stepTime && b.s.Rate > 4 {
		t.Errorf("a step every %v in the search", every)
	}
	b.serve(time.Minute)
	if every := b.s.every(b.set); b.s.Rate != 20 || every < stepTime {
		t.Errorf("at %v calls a second, a step every %v", b.s.Rate, every)
	}
}

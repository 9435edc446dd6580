package ratelimit

import (
	"testing"
	"time"
)

// Where calls pass after a refusal, all others go on: the rate is lowered, and nothing waits.
func TestTrackingDoesNotStop(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.serve(5 * time.Second)
	rate := b.s.Rate
	b.refuse(Observation{})
	if b.s.Probe || b.now < b.s.PausedUntil {
		t.Errorf("a harmless refusal stops all calls: %+v", b.s)
	}
	if b.s.Rate >= rate || b.s.Rate < 0.6*rate {
		t.Errorf("from %.2f to %.2f by one refusal", rate, b.s.Rate)
	}
}

// Where the call after a refusal is refused too, all calls stop; where the probe is refused as well, they stop at the first
// refusal for some congestion epochs to come.
func TestRefusalsInARowStop(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.serve(5 * time.Second)
	b.refuse(Observation{})
	b.now = b.now.Add(100 * time.Millisecond)
	b.refuse(Observation{})
	if !b.s.Probe || b.s.PausedUntil <= b.now {
		t.Fatalf("two refusals in a row do not stop: %+v", b.s)
	}
	b.probe(true)
	b.probe(false)
	if b.s.Wary == 0 {
		t.Fatal("a pause that was too short is forgotten")
	}
	b.serve(5 * time.Second)
	b.refuse(Observation{})
	if !b.s.Probe {
		t.Error("the next refusal does not stop")
	}
}

// A limit that ends with each full minute is waited for to the minute, once two epochs in a row agreed.
func TestWindowsAreWaitedFor(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	for range 3 {
		for int64(b.now)%time.Minute.Microseconds() < (10 * time.Second).Microseconds() {
			b.serve(time.Second)
		}
		minute := b.now.number(time.Minute)
		b.serve(5 * time.Second)
		b.refuse(Observation{})
		b.now = b.now.Add(50 * time.Millisecond)
		b.refuse(Observation{})
		for b.now = max(b.now, b.s.PausedUntil); b.now.number(time.Minute) == minute; b.now = max(b.now, b.s.PausedUntil) {
			b.probe(true)
		}
		b.probe(false)
	}
	if !b.s.windows() || b.s.Window != time.Minute {
		t.Fatalf("after three windows: %+v", b.s)
	}
	b.s.Quota = windowCheap / 2 // a refused call in so many is too dear to probe halfway
	b.serve(5 * time.Second)
	b.refuse(Observation{})
	if got, want := b.s.PausedUntil, b.now.windowEnd(time.Minute); got != want && b.s.Epoch%windowCheck != 0 {
		t.Errorf("waits %v, not %v", got.Sub(b.now), want.Sub(b.now))
	}
	b.now = b.s.PausedUntil.Add(-20 * time.Second) // as after a release by an operator: a call passes too early
	b.s.PausedUntil = 0
	b.probe(false)
	if b.s.windows() {
		t.Error("a call passed in the middle of a spent window, and it is still believed in")
	}
}

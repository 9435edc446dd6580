package ratelimit

import (
	"math"
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

// A quota for any minute refuses for most of a minute once it is spent, whatever the clock says: its calls are spread over a
// minute once two waits in a row have followed on as many calls.
func TestFloatingWindowsAreSpread(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	for range 2 {
		for b.now%Instant(time.Minute.Microseconds()) < Instant((17 * time.Second).Microseconds()) {
			b.now = b.now.Add(time.Second)
		}
		began, calls := b.s.WindowAt, b.s.ServedAtWindow
		b.spend(calls + 120)
		for b.now = max(b.now, b.s.PausedUntil); b.now.Sub(began) < time.Minute; b.now = max(b.now, b.s.PausedUntil) {
			b.probe(true)
		}
		b.probe(false)
	}
	if b.s.Spread != time.Minute || math.Abs(b.s.Rate-2) > 0.2 {
		t.Fatalf("120 calls in any minute: spread over %v, %.2f a second", b.s.Spread, b.s.Rate)
	}
	rate := b.s.Rate
	b.serve(50 * time.Second)
	if b.s.Rate > rate*1.01 {
		t.Errorf("from %.2f to %.2f a second within a window", rate, b.s.Rate)
	}
	b.refuse(Observation{})
	b.probe(false)
	if b.s.Rate < 0.9*rate || b.s.Spread == 0 {
		t.Errorf("one refusal: from %.2f to %.2f a second, spread over %v", rate, b.s.Rate, b.s.Spread)
	}
	b.serve(10 * time.Minute)
	if b.s.Rate < 2*rate {
		t.Errorf("ten minutes without a refusal: %.2f a second, from %.2f", b.s.Rate, rate)
	}
}

// spend lets calls be served up to a count, and two be refused.
func (b *bench) spend(served int64) {
	b.t.Helper()
	for b.c.Served < served {
		b.serve(b.s.every(b.set))
	}
	b.c.Taken, b.c.Served = b.c.Taken+served-b.c.Served, served
	b.refuse(Observation{})
	b.now = b.now.Add(50 * time.Millisecond)
	b.refuse(Observation{})
}

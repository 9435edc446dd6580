package ratelimit

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// bench drives the law by hand: one state, one clock, one count of calls.
type bench struct {
	t   *testing.T
	s   State
	c   Counters
	now Instant
	set Settings
}

func newBench(t *testing.T) *bench {
	t.Helper()
	now := At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	set := Settings{Rate: 1000}.WithDefaults()
	return &bench{t: t, s: Start(now, set), now: now, set: set}
}

func (b *bench) hear(e Event) {
	e.Count = b.c
	b.s = Next(b.s, e, b.now, b.set)
}

// serve lets calls be taken and served at the present rate for a time, with steps as they fall due.
func (b *bench) serve(d time.Duration) {
	for end := b.now.Add(d); b.now < end; {
		dt := b.s.every(b.set)
		b.now = b.now.Add(dt)
		n := int64(math.Round(b.s.Pace(b.now) * dt.Seconds()))
		b.c.Taken += n
		b.c.Served += n
		b.hear(Event{Observation: Observation{Users: 1, Served: true}, Epoch: b.s.Epoch, Due: true})
	}
}

func (b *bench) refuse(o Observation) {
	o.Limited, o.Users = true, 1
	b.hear(Event{Observation: o, Epoch: b.s.Epoch, Jitter: 0.5})
}

// probe waits for the end of the pause and reports on the one call that goes then.
func (b *bench) probe(limited bool) {
	b.now = max(b.now, b.s.PausedUntil)
	if !limited {
		b.c.Taken++
		b.c.Served++
	}
	b.hear(Event{
		Observation: Observation{Users: 1, Limited: limited, Served: !limited},
		Epoch:       b.s.Epoch, Probe: true, Jitter: 0.5,
	})
}

// met is a bench whose law has found a limit near rate, and has settled.
func met(t *testing.T, rate float64) *bench {
	b := newBench(t)
	b.probe(false)
	for b.s.Rate < rate {
		b.serve(time.Second)
	}
	for range 2 {
		b.s.Rate = rate
		b.refuse(Observation{})
		b.probe(false)
		b.serve(2 * time.Second)
	}
	return b
}

func TestSearchesUpward(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if !b.s.Probe || b.s.Rate != startRate {
		t.Fatalf("starts as %+v", b.s)
	}
	b.probe(false)
	b.serve(6 * time.Second)
	if b.s.Rate < 50 {
		t.Errorf("after 6 s without a refusal the rate is %.1f", b.s.Rate)
	}
}

func TestCutsOncePerEpoch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.probe(false)
	b.serve(4 * time.Second)
	stamp, before := b.s.Epoch, b.s.Rate
	for range 8 { // all in flight together
		b.hear(Event{Observation: Observation{Users: 1, Limited: true}, Epoch: stamp})
	}
	if b.s.Epoch != 1 || b.s.LimitErrors != 8 {
		t.Errorf("epoch %d after %d errors", b.s.Epoch, b.s.LimitErrors)
	}
	if b.s.Rate > before || b.s.Rate < before/4 {
		t.Errorf("cut from %.1f to %.1f", before, b.s.Rate)
	}
}

func TestGrowsOnlyWhenUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.probe(false)
	for range 20 {
		b.now = b.now.Add(time.Second)
		b.c.Taken++ // half of what might go
		b.c.Served++
		b.s.Rate = 5
		b.hear(Event{Observation: Observation{Users: 1, Served: true}, Due: true})
	}
	if b.s.Rate > 5 {
		t.Errorf("grew to %.1f", b.s.Rate)
	}
}

func TestRestsThenPushes(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Wary = maxWary
	anchor := b.s.Anchor
	b.s.RestUntil = b.now.Add(restTime)
	b.serve(restTime - time.Second)
	if b.s.Rate > anchor+1e-6 {
		t.Errorf("above the anchor of %.2f during the rest: %.2f", anchor, b.s.Rate)
	}
	b.serve(10 * time.Second)
	if b.s.Rate < 1.3*anchor {
		t.Errorf("10 s after the rest at %.2f, anchor %.2f", b.s.Rate, anchor)
	}
}

func TestPauseDoublesToAMinute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.probe(false)
	b.serve(2 * time.Second)
	b.s.Wary = maxWary
	began := b.now
	b.refuse(Observation{})
	longest := time.Second
	for i := range 10 {
		// With jitter in the upper half a pause lasts half to all of the longest.
		want := b.now.Add(longest * 3 / 4)
		if longest*3/4 > minutePause { // a quota of each minute: not beyond its end
			want = min(want, b.now.windowEnd(time.Minute))
		}
		if b.now.Sub(began) > longAfter { // a quota: probe when a window of five minutes ends
			want = b.now.windowEnd(longWindow)
		}
		if got := b.s.PausedUntil; got != want {
			t.Fatalf("pause %d is %v, not %v", i, got.Sub(b.now), want.Sub(b.now))
		}
		longest = min(2*longest, time.Minute)
		b.probe(true)
	}
	if rate := b.s.Rate; rate < startRate/4 {
		t.Errorf("refused probes have cut the rate to %.2f", rate)
	}
}

// The probe that ends a first pause too early has prolonged a lock-out: the next pause is more than twice as long.
func TestFirstProbeRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.probe(false)
	b.serve(3 * time.Second)
	b.refuse(Observation{})
	first := b.s.PausedUntil.Sub(b.now)
	b.probe(true)
	if got := b.s.PausedUntil.Sub(b.now); got != 3*time.Second || got <= 2*first {
		t.Errorf("a first pause of %v, then one of %v", first, got)
	}
	b.probe(true)
	if got := b.s.PausedUntil.Sub(b.now); got != 3*time.Second {
		t.Errorf("then one of %v", got)
	}
}

// Where a lock-out was met lately a push grows by small steps, however long nothing is refused.
func TestPushIsGentleWhereRefusalsAreDear(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Wary, b.s.Backoff, b.s.RestUntil, b.s.Settled = maxWary, 1, 0, false
	for range 40 {
		before := b.s.Rate
		b.serve(b.s.every(b.set))
		if grown := b.s.Rate / before; grown > dearBound+1e-6 {
			t.Fatalf("a step from %.2f to %.2f", before, b.s.Rate)
		}
	}
	if b.s.Rate < 1.5*b.s.Anchor {
		t.Errorf("20 s of pushing: %.2f, anchor %.2f", b.s.Rate, b.s.Anchor)
	}
}

// A limit that was learnt while refusals stop all calls is remembered, so that its fall is seen and it is tried more often.
func TestFallIsSeenAfterStops(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Wary, b.s.Steady = maxWary, 0
	b.serve(5 * time.Second)
	b.refuse(Observation{})
	if b.s.Steady != b.s.Anchor || !b.s.Settled {
		t.Fatalf("a settled limit is not remembered: %+v", b.s)
	}
	b.probe(false)
	b.s.Rate /= 2
	b.s.Anchor = b.s.Rate
	b.serve(5 * time.Second)
	b.refuse(Observation{})
	if b.s.FellAt != b.now {
		t.Errorf("the anchor fell to %.2f unseen: %+v", b.s.Anchor, b.s)
	}
}

func TestStatedPauseLeads(t *testing.T) {
	t.Parallel()
	b := met(t, 10)
	b.refuse(Observation{RetryAfter: 90 * time.Second})
	if got := b.s.PausedUntil.Sub(b.now); got != 90*time.Second || !b.s.Stated {
		t.Errorf("pause %v, stated %v", got, b.s.Stated)
	}
	b.refuse(Observation{RetryAfter: 30 * 24 * time.Hour})
	if got := b.s.PausedUntil.Sub(b.now); got != maxStated {
		t.Errorf("a month was believed: %v", got)
	}
}

// A late error of the same epoch may name a longer wait, and never a shorter one.
func TestEchoProlongsStatedPause(t *testing.T) {
	t.Parallel()
	b := met(t, 10)
	stamp := b.s.Epoch
	b.refuse(Observation{RetryAfter: 10 * time.Second})
	for _, d := range []time.Duration{20 * time.Second, 5 * time.Second} {
		b.hear(Event{Observation: Observation{Limited: true, RetryAfter: d}, Epoch: stamp})
	}
	if got := b.s.PausedUntil.Sub(b.now); got != 20*time.Second {
		t.Errorf("pause %v", got)
	}
}

func TestLockoutRaisesThePause(t *testing.T) {
	t.Parallel()
	b := met(t, 10)
	b.s.Wary = maxWary
	b.refuse(Observation{})
	b.probe(true)
	b.probe(true)
	b.probe(false)
	b.serve(time.Second)
	b.refuse(Observation{})
	if got := b.s.PausedUntil.Sub(b.now); got != 3*time.Second {
		t.Errorf("the next pause starts at %v", got)
	}
}

func TestUsageSlowsDown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		percent int
		share   float64
	}{{0, 1}, {75, 1}, {85, 0.55}, {95, 0.1}, {120, 0.1}} {
		b := met(t, 10)
		b.hear(Event{Observation: Observation{Served: true, UsagePercent: tt.percent}, Epoch: b.s.Epoch})
		if got := b.s.Pace(b.now) / b.s.Rate; math.Abs(got-tt.share) > 1e-9 {
			t.Errorf("%d %%: share %.3f, not %.3f", tt.percent, got, tt.share)
		}
		rate := b.s.Rate
		if tt.percent > usageSlow {
			b.serve(30 * time.Second)
			if b.s.Rate > rate {
				t.Errorf("%d %%: grew from %.2f to %.2f", tt.percent, rate, b.s.Rate)
			}
		}
		b.now = b.now.Add(2 * usageMemory)
		if got := b.s.Pace(b.now); got != b.s.Rate {
			t.Errorf("%d %%: still at %.2f of %.2f when the header is old", tt.percent, got, b.s.Rate)
		}
	}
}

func TestUsageStops(t *testing.T) {
	t.Parallel()
	b := met(t, 10)
	b.hear(Event{Observation: Observation{Served: true, UsagePercent: 96, RetryAfter: 5 * time.Minute}, Epoch: b.s.Epoch})
	if got := b.s.PausedUntil.Sub(b.now); got != 5*time.Minute || !b.s.Probe || !b.s.Stated {
		t.Errorf("pause %v, then probe %v, stated %v", got, b.s.Probe, b.s.Stated)
	}
}

func TestIdleRateFades(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	b.s.Rate = b.s.Anchor
	b.now = b.now.Add(24 * time.Hour)
	b.hear(Event{Observation: Observation{Served: true, Users: 1}, Epoch: b.s.Epoch, Due: true})
	if math.Abs(b.s.Rate-b.s.Anchor/2) > 0.01 {
		t.Errorf("after a day: %.2f, anchor %.2f", b.s.Rate, b.s.Anchor)
	}
	b.serve(3 * time.Second)
	if b.s.Rate < 0.89*b.s.Anchor {
		t.Errorf("3 s of use later: %.2f, anchor %.2f", b.s.Rate, b.s.Anchor)
	}
}

func TestPinAndCap(t *testing.T) {
	t.Parallel()
	b := met(t, 20)
	learnt := b.s.Rate
	b.s = b.s.Pinned(3)
	b.serve(time.Minute)
	if b.s.Pace(b.now) != 3 || b.s.Rate != learnt {
		t.Errorf("pinned at 3: pace %.2f, learnt %.2f was %.2f", b.s.Pace(b.now), b.s.Rate, learnt)
	}
	b.s = b.s.Released(b.now).Capped(5)
	b.serve(time.Minute)
	if b.s.Pace(b.now) != 5 || b.s.Rate != learnt {
		t.Errorf("capped at 5: pace %.2f, learnt %.2f was %.2f", b.s.Pace(b.now), b.s.Rate, learnt)
	}
}

// A limit that is not configured is found from what was served when it was met.
func TestUnmetLimitIsFoundByGoodput(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.set = AccountSettings()
	b.s = Unlimited(b.now, b.set)
	for range 30 { // 40 calls a second, far below what the account's bucket would give
		b.now = b.now.Add(time.Second)
		b.c.Taken += 40
		b.c.Served += 40
		b.hear(Event{Observation: Observation{Served: true}, Due: b.now.Sub(b.s.StepAt) >= unmetTime})
	}
	b.refuse(Observation{})
	if b.s.Rate < 30 || b.s.Rate > 42 {
		t.Errorf("refused at 40 a second, goes on at %.1f", b.s.Rate)
	}
}

// A burst after a lull says little about the limit: the time without calls must not pass for a rate at which calls were
// served, or one refusal would stop a worker that had been idle for an hour.
func TestRefusalAfterALull(t *testing.T) {
	t.Parallel()
	for _, lull := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute, 24 * time.Hour} {
		for name, anchor := range map[string]float64{"never refused": 0, "refused before": 20} {
			t.Run(fmt.Sprintf("%s, %v", name, lull), func(t *testing.T) {
				t.Parallel()
				set := Settings{Rate: 50, Burst: 5, MaxUsers: 1000}
				now := At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
				s := Start(now, set)
				s.Probe, s.Rate, s.Anchor, s.Epoch = false, 20, anchor, 3
				s.StepAt, s.ServedAtStep, s.TakenAtStep = now, 100, 100
				s.ServedAtSince = 100

				now = now.Add(lull)
				refused := Event{Observation: Observation{Users: 1, Limited: true}, Count: Counters{Taken: 105, Served: 100}, Epoch: 3}
				s = Next(s, refused, now, set)
				if s.Rate < 5 || s.Rate > 20 {
					t.Errorf("from 20 calls a second to %.3f by one refusal", s.Rate)
				}
				now = s.PausedUntil
				s = Next(s, Event{Observation: Observation{Users: 1, Served: true}, Count: Counters{Taken: 106, Served: 104}, Epoch: s.Epoch, Probe: true}, now, set)
				if rest := s.RestUntil.Sub(now); rest > maxRest {
					t.Errorf("rests for %v", rest)
				}
			})
		}
	}
}

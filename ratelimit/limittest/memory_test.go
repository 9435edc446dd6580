package limittest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/ratelimit"
)

// retryShare fresh calls make room for one of retries.
const retryShare = 5

func newTestMemory(t *testing.T) (*Memory, *time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewMemory(func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 1000, Burst: 100} }, MemoryConfig{
		Now: func() time.Time { return now }, Jitter: func() float64 { return 0 },
	})
	return m, &now
}

// call takes, waiting as told, and reports.
func call(t *testing.T, m *Memory, now *time.Time, key ratelimit.Key, o ratelimit.Observation) ratelimit.Grant {
	t.Helper()
	for {
		g, err := m.Take(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if g.OK {
			if err := m.Report(t.Context(), key, g, o); err != nil {
				t.Fatal(err)
			}
			return g
		}
		*now = now.Add(g.Wait)
	}
}

// retryWorld plays calls of 100 ms at up to ten a second, some in flight beside each other: where a grant has room for
// retries, a retry goes. It returns when retries went and how many fresh calls did.
func retryWorld(t *testing.T, length time.Duration, freshWaits bool) (retries []time.Duration, fresh int) {
	t.Helper()
	m, now := newTestMemory(t)
	key, start := ratelimit.Key{PhoneNumberID: "1"}, *now
	type flying struct {
		at time.Time
		g  ratelimit.Grant
		o  ratelimit.Observation
	}
	var inFlight []flying
	for ; now.Sub(start) < length; *now = now.Add(10 * time.Millisecond) {
		for len(inFlight) > 0 && now.Sub(inFlight[0].at) >= 100*time.Millisecond {
			if err := m.Report(t.Context(), key, inFlight[0].g, inFlight[0].o); err != nil {
				t.Fatal(err)
			}
			inFlight = inFlight[1:]
		}
		g, err := m.Take(t.Context(), key)
		switch {
		case err != nil:
			t.Fatal(err)
		case !g.OK:
		case g.FreshOnly && !freshWaits:
			if g.RetryIn <= 0 || g.RetryIn > time.Second {
				t.Fatalf("no room for retries, ask again in %v", g.RetryIn)
			}
			if err := m.Cancel(t.Context(), key, g); err != nil {
				t.Fatal(err)
			}
		default:
			if !g.FreshOnly {
				retries = append(retries, now.Sub(start))
			} else {
				fresh++
			}
			inFlight = append(inFlight, flying{*now, g, ratelimit.Observation{Users: 1, Served: true, Retry: !g.FreshOnly}})
		}
	}
	return retries, fresh
}

// In no stretch of time are there more retries than the burst, one a second and a fifth of the fresh calls; and none
// passes without its share.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	const length = time.Minute
	retries, fresh := retryWorld(t, length, true)
	perSecond := 1 + float64(fresh)/length.Seconds()/retryShare
	if len(retries) < int(0.9*perSecond*length.Seconds()) {
		t.Errorf("%d retries beside %d fresh calls", len(retries), fresh)
	}
	for i, from := range retries {
		for j := i; j < len(retries); j++ {
			if most := retryBurst + 3 + 1.3*perSecond*(retries[j]-from).Seconds(); float64(j-i+1) > most {
				t.Fatalf("%d retries in %v, at most %.1f", j-i+1, retries[j]-from, most)
			}
		}
	}
}

// A backlog of nothing but retries moves by one call a second, with no silence in between.
func TestRetriesAloneAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	retries, _ := retryWorld(t, 10*time.Minute, false)
	if len(retries) < 600 || len(retries) > 600+retryBurst {
		t.Errorf("%d retries in ten minutes", len(retries))
	}
	for i := retryBurst + 1; i < len(retries); i++ {
		if gap := retries[i] - retries[i-1]; gap > 1100*time.Millisecond {
			t.Fatalf("no retry for %v", gap)
		}
	}
}

// Calls that turn out fresh return the token of the retry budget that they were granted with, and so do cancelled grants.
func TestFreshCallsReturnRetryTokens(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := ratelimit.Key{PhoneNumberID: "1"}
	call(t, m, now, key, ratelimit.Observation{Users: 1, Served: true})
	*now = now.Add(time.Minute)
	for range 10 * retryBurst {
		g := call(t, m, now, key, ratelimit.Observation{Users: 1, Served: true})
		if g.FreshOnly {
			t.Fatal("fresh calls, one after another, use up the retry budget")
		}
		*now = now.Add(10 * time.Millisecond)
	}
}

// A clock that is set back by an hour in a pause must not prolong it by an hour, be it stated or learnt.
func TestClockGoesBackInAPause(t *testing.T) {
	t.Parallel()
	for name, stated := range map[string]time.Duration{"learnt": 0, "stated": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, now := newTestMemory(t)
			key := ratelimit.Key{PhoneNumberID: "1"}
			for range 3 {
				call(t, m, now, key, ratelimit.Observation{Users: 1, Served: true})
			}
			var pause time.Duration
			for pause == 0 { // where refusals are harmless the first does not pause
				call(t, m, now, key, ratelimit.Observation{Users: 1, Limited: true, RetryAfter: stated})
				g, _ := m.Take(t.Context(), key)
				if g.Reason == ratelimit.Paused {
					pause = g.Wait
				}
			}
			*now = now.Add(-time.Hour)
			g, _ := m.Take(t.Context(), key)
			if g.OK || g.Wait != pause {
				t.Fatalf("a pause of %v, after the clock went back: %+v", pause, g)
			}
			*now = now.Add(g.Wait)
			if g, _ = m.Take(t.Context(), key); !g.OK {
				t.Errorf("after that pause: %+v", g)
			}
		})
	}
}

func TestPhoneNumbersAreIndependent(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	a, b := ratelimit.Key{PhoneNumberID: "1", Account: "A"}, ratelimit.Key{PhoneNumberID: "2", Account: "A"}
	call(t, m, now, a, ratelimit.Observation{Users: 1, Served: true})
	call(t, m, now, b, ratelimit.Observation{Users: 1, Served: true})
	call(t, m, now, a, ratelimit.Observation{Users: 1, Limited: true, RetryAfter: time.Hour})
	if g, _ := m.Take(t.Context(), a); g.OK || g.Reason != ratelimit.Paused {
		t.Errorf("the refused number: %+v", g)
	}
	*now = now.Add(time.Second)
	if g, _ := m.Take(t.Context(), b); !g.OK {
		t.Errorf("the other number: %+v", g)
	}
}

func TestAccountPausesItsNumbers(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	a, b := ratelimit.Key{PhoneNumberID: "1", Account: "A"}, ratelimit.Key{PhoneNumberID: "2", Account: "A"}
	c := ratelimit.Key{PhoneNumberID: "3", Account: "B"}
	for _, k := range []ratelimit.Key{a, b, c} {
		call(t, m, now, k, ratelimit.Observation{Users: 1, Served: true})
	}
	call(t, m, now, a, ratelimit.Observation{Users: 1, Limited: true, Account: true, RetryAfter: time.Minute})
	*now = now.Add(time.Second)
	for range 3 { // being refused by the account must not use up the number's own tokens
		if g, _ := m.Take(t.Context(), b); g.OK || g.Reason != ratelimit.Paused || g.Wait != time.Minute-time.Second {
			t.Fatalf("same account: %+v", g)
		}
	}
	if g, _ := m.Take(t.Context(), c); !g.OK {
		t.Errorf("other account: %+v", g)
	}
	*now = now.Add(time.Minute)
	if g, _ := m.Take(t.Context(), b); !g.OK {
		t.Errorf("after the pause: %+v", g)
	}
	if g, _ := m.Take(t.Context(), a); g.OK || g.Reason != ratelimit.Probing {
		t.Errorf("while the account's probe is in flight: %+v", g)
	}
}

func TestLostProbeIsReplaced(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := ratelimit.Key{PhoneNumberID: "1"}
	if g, _ := m.Take(t.Context(), key); !g.OK {
		t.Fatal("no probe")
	}
	*now = now.Add(lease - time.Millisecond)
	if g, _ := m.Take(t.Context(), key); g.OK || g.Wait != time.Millisecond {
		t.Errorf("before the lease ends: %+v", g)
	}
	*now = now.Add(time.Millisecond)
	if g, _ := m.Take(t.Context(), key); !g.OK {
		t.Errorf("its worker has died: %+v", g)
	}
}

// A probe that ended without a verdict, such as on a cut connection, leaves its place to the next.
func TestUnansweredProbeIsRepeated(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := ratelimit.Key{PhoneNumberID: "1"}
	call(t, m, now, key, ratelimit.Observation{Users: 1})
	if g, _ := m.Take(t.Context(), key); !g.OK || !g.Phone.Probe {
		t.Errorf("got %+v", g)
	}
}

// A clock that is set back by an hour must not stop calls, nor growth, for an hour.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewMemory(func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 100, Burst: 1} }, MemoryConfig{Now: func() time.Time { return now }})
	key := ratelimit.Key{PhoneNumberID: "1"}
	served := func(d time.Duration) (n int) {
		for end := now.Add(d); now.Before(end); {
			g, _ := m.Take(t.Context(), key)
			if !g.OK {
				now = now.Add(max(g.Wait, time.Microsecond))
				continue
			}
			n++
			_ = m.Report(t.Context(), key, g, ratelimit.Observation{Users: 1, Served: true})
		}
		return n
	}
	before := served(3 * time.Second)
	now = now.Add(-time.Hour)
	if after := served(3 * time.Second); after <= before {
		t.Errorf("%d calls in 3 s, and %d in the 3 s after the clock went back", before, after)
	}
	b := bucket{probeUntil: ratelimit.At(now.Add(time.Hour))}
	if a := b.take(ratelimit.Fields{ratelimit.FieldProbe: 1}, ratelimit.At(now), ratelimit.Settings{}.WithDefaults()); a.Reason != ratelimit.NotLimited {
		t.Errorf("a probe from the future holds up the next: %+v", a)
	}
}

func TestTrialsAreSingle(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	set := ratelimit.Settings{Rate: 100}.WithDefaults()
	v := ratelimit.Fields{ratelimit.FieldPace: 100 * micro, ratelimit.FieldSize: 50, ratelimit.FieldTrial: 75}
	b := bucket{tokens: 5 * micro, at: ratelimit.At(now)}
	first, second := b.take(v, ratelimit.At(now), set), b.take(v, ratelimit.At(now), set)
	if first.Users != 75 || first.Stamp.Trial != 75 || second.Users != 50 || second.Stamp.Trial != 0 {
		t.Errorf("got %+v and %+v", first, second)
	}
	b.release(first.Stamp)
	if third := b.take(v, ratelimit.At(now), set); third.Stamp.Trial != 75 {
		t.Errorf("after the report: %+v", third)
	}
}

// In no window of time are more calls allowed than the burst and the rate give.
func TestNeverMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		set := ratelimit.Settings{
			Rate:  float64(rapid.IntRange(1, 1000).Draw(t, "tenths of a call a second")) / 10,
			Burst: rapid.IntRange(1, 20).Draw(t, "burst"),
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		m := NewMemory(func(string) ratelimit.Settings { return set }, MemoryConfig{
			Now: func() time.Time { return now }, Jitter: func() float64 { return 0 },
		})
		key := ratelimit.Key{PhoneNumberID: "1"}
		var allowed []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "takes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300_000).Draw(t, "µs")) * time.Microsecond)
			g, _ := m.Take(t.Context(), key)
			if !g.OK {
				continue
			}
			allowed = append(allowed, now)
			_ = m.Report(t.Context(), key, g, ratelimit.Observation{Users: 1, Served: true})
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
		set := ratelimit.Settings{Rate: float64(rapid.IntRange(1, 1000).Draw(t, "tenths")) / 10, Burst: 1}.WithDefaults()
		b, now := bucket{}, ratelimit.Instant(1_000_000)
		v := ratelimit.Encode(ratelimit.State{Rate: set.Rate}, now, set)
		b.tokens, b.at = int64(rapid.IntRange(0, micro-1).Draw(t, "tokens")), now
		a := b.take(v, now, set)
		if a.Reason != ratelimit.Pace || a.Wait <= 0 {
			t.Fatalf("%d millionths of a token: %+v", b.tokens, a)
		}
		early := b
		if got := b.take(v, now.Add(a.Wait), set); got.Reason != ratelimit.NotLimited {
			t.Fatalf("after %v: %+v", a.Wait, got)
		}
		if a.Wait > 3*time.Microsecond {
			if got := early.take(v, now.Add(a.Wait-3*time.Microsecond-time.Duration(2/set.Rate)*time.Microsecond), set); got.Reason != ratelimit.Pace {
				t.Fatalf("a call would have passed sooner: %+v", got)
			}
		}
	})
}

package ratelimit

import (
	"testing"
	"time"
)

func newTestMemory(t *testing.T) (*Memory, *time.Time) {
	t.Helper()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewMemory(func(string) Settings { return Settings{Rate: 1000, Burst: 100} }, MemoryConfig{
		Now: func() time.Time { return now }, Jitter: func() float64 { return 0 },
	})
	return m, &now
}

// call takes, waiting as told, and reports.
func call(t *testing.T, m *Memory, now *time.Time, key Key, o Observation) Grant {
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
	key, start := Key{PhoneNumberID: "1"}, *now
	type flying struct {
		at time.Time
		g  Grant
		o  Observation
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
			inFlight = append(inFlight, flying{*now, g, Observation{Users: 1, Served: true, Retry: !g.FreshOnly}})
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
	key := Key{PhoneNumberID: "1"}
	call(t, m, now, key, Observation{Users: 1, Served: true})
	*now = now.Add(time.Minute)
	for range 10 * retryBurst {
		g := call(t, m, now, key, Observation{Users: 1, Served: true})
		if g.FreshOnly {
			t.Fatal("fresh calls, one after another, use up the retry budget")
		}
		*now = now.Add(10 * time.Millisecond)
	}
}

// A clock that is set back by an hour in a pause must not prolong it by an hour, unless the API stated that time.
func TestClockGoesBackInAPause(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stated, least, most time.Duration
	}{
		"learnt": {0, 0, maxPause}, "stated": {2 * time.Hour, 2 * time.Hour, 3*time.Hour + time.Second}, "stated a day": {24 * time.Hour, maxStated, maxStated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, now := newTestMemory(t)
			key := Key{PhoneNumberID: "1"}
			call(t, m, now, key, Observation{Users: 1, Served: true})
			call(t, m, now, key, Observation{Users: 1, Limited: true, RetryAfter: tt.stated})
			*now = now.Add(-time.Hour)
			g, _ := m.Take(t.Context(), key)
			if g.OK || g.Wait < tt.least || g.Wait > tt.most {
				t.Fatalf("after the clock went back: %+v", g)
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
	a, b := Key{PhoneNumberID: "1", Account: "A"}, Key{PhoneNumberID: "2", Account: "A"}
	call(t, m, now, a, Observation{Users: 1, Served: true})
	call(t, m, now, b, Observation{Users: 1, Served: true})
	call(t, m, now, a, Observation{Users: 1, Limited: true, RetryAfter: time.Hour})
	if g, _ := m.Take(t.Context(), a); g.OK || g.Reason != Paused {
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
	a, b, c := Key{"1", "A"}, Key{"2", "A"}, Key{"3", "B"}
	for _, k := range []Key{a, b, c} {
		call(t, m, now, k, Observation{Users: 1, Served: true})
	}
	call(t, m, now, a, Observation{Users: 1, Limited: true, Account: true, RetryAfter: time.Minute})
	*now = now.Add(time.Second)
	for range 3 { // being refused by the account must not use up the number's own tokens
		if g, _ := m.Take(t.Context(), b); g.OK || g.Reason != Paused || g.Wait != time.Minute-time.Second {
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
	if g, _ := m.Take(t.Context(), a); g.OK || g.Reason != Probing {
		t.Errorf("while the account's probe is in flight: %+v", g)
	}
}

func TestLostProbeIsReplaced(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := Key{PhoneNumberID: "1"}
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
	key := Key{PhoneNumberID: "1"}
	call(t, m, now, key, Observation{Users: 1})
	if g, _ := m.Take(t.Context(), key); !g.OK || !g.Phone.Probe {
		t.Errorf("got %+v", g)
	}
}

func TestSettingsAreMadeSound(t *testing.T) {
	t.Parallel()
	for _, s := range []Settings{{}, {Rate: -1, Burst: -1, MaxUsers: -1}, {MaxUsers: 5000}} {
		if got, want := s.WithDefaults(), (Settings{DefaultRate, DefaultBurst, DefaultMaxUsers}); got != want {
			t.Errorf("%+v becomes %+v", s, got)
		}
	}
}

// A clock that is set back by an hour must not stop calls, nor growth, for an hour.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewMemory(func(string) Settings { return Settings{Rate: 100, Burst: 1} }, MemoryConfig{Now: func() time.Time { return now }})
	key := Key{PhoneNumberID: "1"}
	served := func(d time.Duration) (n int) {
		for end := now.Add(d); now.Before(end); {
			g, _ := m.Take(t.Context(), key)
			if !g.OK {
				now = now.Add(max(g.Wait, time.Microsecond))
				continue
			}
			n++
			_ = m.Report(t.Context(), key, g, Observation{Users: 1, Served: true})
		}
		return n
	}
	before := served(3 * time.Second)
	now = now.Add(-time.Hour)
	if after := served(3 * time.Second); after <= before {
		t.Errorf("%d calls in 3 s, and %d in the 3 s after the clock went back", before, after)
	}
	b := bucket{probeUntil: At(now.Add(time.Hour))}
	if a := b.take(view{probe: true}, At(now), Settings{}.WithDefaults()); a.Reason != NotLimited {
		t.Errorf("a probe from the future holds up the next: %+v", a)
	}
}

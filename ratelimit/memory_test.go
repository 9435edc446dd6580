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

func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := Key{PhoneNumberID: "1"}
	served := Observation{Users: 1, Served: true}
	fresh, retries := 0, 0
	for range 1000 {
		g, _ := m.Take(t.Context(), key)
		if !g.OK {
			*now = now.Add(g.Wait)
			continue
		}
		o := served
		if o.Retry = !g.FreshOnly; o.Retry {
			retries++ // a backlog that would send nothing but retries if it might
		} else {
			fresh++
		}
		_ = m.Report(t.Context(), key, g, o)
	}
	if retries > retryAlways+(fresh+retries)/retryShare+1 || retries < retryAlways {
		t.Errorf("%d retries among %d calls", retries, fresh+retries)
	}
	*now = now.Add(2 * retryWindow)
	if g, _ := m.Take(t.Context(), key); g.FreshOnly {
		t.Error("two minutes later retries are still refused")
	}
}

// A backlog of nothing but retries still moves.
func TestRetriesAloneStillMove(t *testing.T) {
	t.Parallel()
	m, now := newTestMemory(t)
	key := Key{PhoneNumberID: "1"}
	retries := 0
	for end := now.Add(10 * time.Minute); now.Before(end); {
		g, _ := m.Take(t.Context(), key)
		switch {
		case !g.OK:
			*now = now.Add(g.Wait)
		case g.FreshOnly:
			_ = m.Cancel(t.Context(), key, g)
			*now = now.Add(RetryWait)
		default:
			retries++
			_ = m.Report(t.Context(), key, g, Observation{Users: 1, Served: true, Retry: true})
		}
	}
	if retries < 9*retryAlways || retries > 11*retryAlways {
		t.Errorf("%d retries in ten minutes", retries)
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

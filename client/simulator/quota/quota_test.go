package quota_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wablock/wablock/client/simulator/quota"
)

var start = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)

// passes makes one call every step for the time given, and counts those that pass.
func passes(q quota.Quota, from time.Time, during, step time.Duration) int {
	n := 0
	for at := time.Duration(0); at < during; at += step {
		if q.Allow(from.Add(at), 1) {
			n++
		}
	}
	return n
}

func TestTokenBucket(t *testing.T) {
	t.Parallel()
	b := quota.NewTokenBucket(10, 5)
	if n := passes(b, start, time.Second, time.Millisecond); n != 14 {
		t.Errorf("first second: %d calls passed, want burst 5 + 9 refilled", n)
	}
	b.SetRate(start.Add(time.Second), 100)
	if n := passes(b, start.Add(time.Second), time.Second, time.Millisecond); n < 99 || n > 101 {
		t.Errorf("second after SetRate(100): %d passed", n)
	}
	if b.Allow(start, 1) && b.Allow(start, 1) {
		t.Error("a clock that runs backwards gave tokens")
	}
}

func TestTokenBucketWaitIsExact(t *testing.T) {
	t.Parallel()
	b := quota.NewTokenBucket(3, 1)
	now := start
	for range 50 {
		if !b.Allow(now, 1) {
			t.Fatalf("refused at %v although Wait said so", now.Sub(start))
		}
		wait := b.Wait(now)
		if wait <= 0 || b.Allow(now.Add(wait-2*time.Microsecond), 1) {
			t.Fatalf("Wait = %v is more than needed", wait)
		}
		now = now.Add(wait)
	}
}

func TestFixedWindow(t *testing.T) {
	t.Parallel()
	w := quota.NewFixedWindow(7, time.Minute)
	late := start.Add(50 * time.Second)
	if n := passes(w, late, 10*time.Second, 100*time.Millisecond); n != 7 {
		t.Errorf("end of a window: %d passed, want 7", n)
	}
	if got := w.Wait(late.Add(5 * time.Second)); got != 5*time.Second {
		t.Errorf("Wait = %v, want the rest of the minute", got)
	}
	if n := passes(w, start.Add(time.Minute), 10*time.Second, 100*time.Millisecond); n != 7 {
		t.Errorf("next window: %d passed, want 7", n)
	}
	w.SetRate(start.Add(time.Minute), 0.5)
	if n := passes(w, start.Add(70*time.Second), 10*time.Second, 100*time.Millisecond); n != 30-7 {
		t.Errorf("after SetRate to 30 a window: %d passed, want 23", n)
	}
}

func TestUsersWindow(t *testing.T) {
	t.Parallel()
	w := quota.NewUsersWindow(1000, time.Minute)
	for i, c := range []struct {
		users int
		want  bool
	}{{600, true}, {600, false}, {400, true}, {1, false}} {
		if got := w.Allow(start, c.users); got != c.want {
			t.Errorf("call %d with %d users: %v", i, c.users, got)
		}
	}
	if u := w.Usage(start); u != 1 {
		t.Errorf("Usage = %v, want 1", u)
	}
}

func TestLockout(t *testing.T) {
	t.Parallel()
	l := quota.NewLockout(quota.NewTokenBucket(1, 1), 2*time.Second, time.Second)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{100 * time.Millisecond, false},  // refused: locked until 2.1 s
		{1500 * time.Millisecond, false}, // prolonged to 3.1 s
		{2500 * time.Millisecond, false}, // prolonged to 4.1 s
		{4050 * time.Millisecond, false}, // prolonged to 5.1 s
		{5100 * time.Millisecond, true},
	} {
		if got := l.Allow(start.Add(c.at), 1); got != c.want {
			t.Errorf("call %d at %v: %v, want %v", i, c.at, got, c.want)
		}
	}
}

func TestUsersCap(t *testing.T) {
	t.Parallel()
	c := quota.WithUsersCap(quota.NewTokenBucket(0, 2), 100)
	if c.Allow(start, 101) {
		t.Error("101 users passed a cap of 100")
	}
	if !c.Allow(start, 100) {
		t.Error("100 users did not pass, or the refused call took a token")
	}
	c.SetCap(50)
	if c.Allow(start, 100) {
		t.Error("100 users passed a cap lowered to 50")
	}
	if !quota.WithUsersCap(quota.All{}, 0).Allow(start, 1000) {
		t.Error("a cap of 0 capped")
	}
}

func TestNeverMoreThanTheBudget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 200).Draw(t, "rate")
		burst := rapid.IntRange(1, 50).Draw(t, "burst")
		b := quota.NewTokenBucket(rate, burst)
		now, passed := start, 0
		for _, gap := range rapid.SliceOfN(rapid.IntRange(0, 500), 1, 300).Draw(t, "gaps in ms") {
			now = now.Add(time.Duration(gap) * time.Millisecond)
			if b.Allow(now, 1) {
				passed++
			}
			if most := float64(burst) + rate*now.Sub(start).Seconds() + 1e-6; float64(passed) > most {
				t.Fatalf("%d calls passed in %v; %.2f is the most", passed, now.Sub(start), most)
			}
		}
	})
}

func TestWrappersTellUsageAndWait(t *testing.T) {
	t.Parallel()
	all := quota.All{quota.NewFixedWindow(4, time.Minute), quota.NewTokenBucket(0.5, 1)}
	l := quota.NewLockout(quota.WithUsersCap(all, 10), 5*time.Second, time.Second)
	if u, w := l.Usage(start), l.Wait(start); u != 0 || w != 0 {
		t.Errorf("at first: usage %v, wait %v", u, w)
	}
	if !l.Allow(start, 1) {
		t.Fatal("the first call was refused")
	}
	if u, w := l.Usage(start), l.Wait(start); u != 0.25 || w != 2*time.Second {
		t.Errorf("after one call: usage %v, wait %v; want the window's 0.25 and the bucket's 2s", u, w)
	}
	if l.Allow(start, 1) {
		t.Fatal("the bucket had no second token")
	}
	if u, w := l.Usage(start), l.Wait(start); u != 1 || w != 5*time.Second {
		t.Errorf("locked out: usage %v, wait %v", u, w)
	}
}

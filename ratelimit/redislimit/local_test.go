package redislimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

// At a call in 100 seconds a token that is not given back is felt.
func TestCancelGivesBackTheCeiling(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: ratelimit.MinRate, Burst: 1} })
		for range 3 {
			g := take(t, l, alice)
			if !g.OK {
				t.Fatalf("got %+v", g)
			}
			if err := l.Cancel(t.Context(), alice, g); err != nil {
				t.Fatal(err)
			}
		}
		if g := take(t, l, alice); !g.OK {
			t.Fatalf("got %+v", g)
		}
		g := take(t, l, alice)
		if g.OK || g.Reason != ratelimit.Ceiling {
			t.Fatalf("two calls at once at a burst of one: %+v", g)
		}
		if err := l.Cancel(t.Context(), alice, g); err != nil { // a refusal holds nothing that could be given back
			t.Fatal(err)
		}
		if g := take(t, l, alice); g.OK {
			t.Fatalf("a cancelled refusal gave %+v", g)
		}
	})
}

// Phone number IDs come and go; what the process keeps of each must not stay for ever.
func TestMemoryFollowsUse(t *testing.T) {
	t.Parallel()
	_, client := redistest.Mini(t)
	l := New(client, nil)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return now }
	for i := range 1500 {
		now = now.Add(time.Second)
		key := ratelimit.Key{PhoneNumberID: fmt.Sprint(i)}
		g := take(t, l, key)
		report(t, l, key, g, ratelimit.Observation{Users: 1, Served: true})
		g.Phone.Probe = false // then the report need not be told, and waits
		report(t, l, key, g, ratelimit.Observation{Users: 1, Served: true})
	}
	if f, c := len(l.ceilings.byID.entries), len(l.tallies.byKey.entries); f > 2*sweepFrom || c > 2*sweepFrom {
		t.Errorf("keeps %d ceilings and %d tallies", f, c)
	}
	if have := l.tallies.collect(PhoneKey("1499")); have.served != 1 {
		t.Errorf("the newest count is %+v", have)
	}
}

// A tally in use outlives the sweeping.
func TestSweepKeepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSwept(tally.stale)
	s.put("kept", tally{served: 1, at: now.Add(time.Hour)}, now)
	for i := range 10 * sweepFrom {
		s.put(fmt.Sprint(i), tally{at: now.Add(-time.Hour)}, now)
	}
	if len(s.entries) > sweepFrom || s.entries["kept"].served != 1 {
		t.Errorf("%d entries, kept: %+v", len(s.entries), s.entries["kept"])
	}
}

package fleet_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestPulse: who is silent, second by second. Each case says in which seconds another worker beats, this one does, and
// when it says so of the other.
func TestPulse(t *testing.T) {
	t.Parallel()
	seconds := func(from, to int) (s []int) {
		for i := from; i <= to; i++ {
			s = append(s, i)
		}
		return s
	}
	for name, c := range map[string]struct{ other, own, silent []int }{
		"both live":                    {other: seconds(0, 20), own: seconds(0, 20)},
		"one dies":                     {other: seconds(0, 5), own: seconds(0, 12), silent: seconds(9, 12)},
		"one that is slow":             {other: []int{0, 3, 6, 9, 12}, own: seconds(0, 12)},
		"one goes on":                  {other: []int{0, 6}, own: seconds(0, 8), silent: []int{4, 5}},
		"one was dead before":          {other: []int{0}, own: seconds(60, 68), silent: seconds(64, 68)},
		"this one stood still":         {other: seconds(0, 2), own: append(seconds(0, 3), seconds(30, 35)...), silent: seconds(34, 35)},
		"this one is asked too rarely": {other: []int{0}, own: []int{0, 3, 6, 9, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				start := time.Now()
				own, other := fleet.NewPulse(rdb, "OWN"), fleet.NewPulse(rdb, "OTHER")
				beat := func(p *fleet.Pulse, second int) []string {
					silent, err := p.Beat(t.Context(), start.Add(time.Duration(second)*time.Second))
					if err != nil {
						t.Fatal(err)
					}
					return silent
				}
				var said []int
				for s := range 70 {
					if slices.Contains(c.other, s) {
						beat(other, s)
					}
					if !slices.Contains(c.own, s) {
						continue
					}
					silent := beat(own, s)
					if len(silent) > 0 {
						said = append(said, s)
					}
					if slices.Contains(silent, "OWN") {
						t.Errorf("takes itself for dead in second %d", s)
					}
				}
				if d := cmp.Diff(c.silent, said); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// TestPulseFails: a worker whose heartbeat fails says nothing of others, until it has watched them anew.
func TestPulseFails(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	now := time.Now()
	p, other := fleet.NewPulse(rdb, "OWN"), fleet.NewPulse(rdb, "OTHER")
	if _, err := other.Beat(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for s := range 16 {
		switch s {
		case 6:
			m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
		case 7:
			m.SetError("")
		}
		silent, err := p.Beat(t.Context(), now.Add(time.Duration(s)*time.Second))
		if want := s >= 4 && s < 6 || s >= 11; (err != nil) != (s == 6) || want != (len(silent) == 1) {
			t.Errorf("second %d: %q, %v", s, silent, err)
		}
	}
}

// TestPulseIsBounded: the dead are forgotten when their claims have long ended, and phone number IDs too.
func TestPulseIsBounded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		now := time.Now()
		p, other := fleet.NewPulse(rdb, "OWN"), fleet.NewPulse(rdb, "OTHER")
		if _, err := other.Beat(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		for s := 0; s <= 901; s++ {
			if _, err := p.Beat(t.Context(), now.Add(time.Duration(s)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		if left := rdb.HKeys(t.Context(), "wablock:workers:pulse").Val(); !slices.Equal(left, []string{"OWN"}) {
			t.Errorf("%q", left)
		}
		for i, id := range []string{"1", "2", "1", "3"} {
			pipe := rdb.Pipeline()
			fleet.Serves(t.Context(), pipe, "OWN", id, now.Add(time.Duration(i)*9*time.Minute))
			if _, err := pipe.Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ids, err := fleet.ServedBy(t.Context(), rdb, "OWN")
		if slices.Sort(ids); err != nil || !slices.Equal(ids, []string{"1", "3"}) {
			t.Errorf("%q, %v", ids, err)
		}
		for _, key := range []string{"wablock:workers:pulse", "wablock:worker:OWN:numbers"} {
			if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 15*time.Minute {
				t.Errorf("%s expires in %v", key, ttl)
			}
		}
	})
}

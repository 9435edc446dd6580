package figures_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/tasks/figures"
	"github.com/wablock/wablock/tasks/redistest"
)

const (
	one = "106540352242922"
	two = "106540352242933"
)

// TestFiguresAddUp: several recorders add to one minute, each phone number ID to its own; every key expires.
func TestFiguresAddUp(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		a, b := figures.NewRecorder(rdb), figures.NewRecorder(rdb)
		a.Add(one, figures.Counts{Calls: 1, Succeeded: 998, DeadLettered: 2})
		a.Add(one, figures.Counts{Calls: 1, Refusals: 1})
		a.Learnt(one, 7)
		a.Learnt(one, 3.25)
		b.Add(one, figures.Counts{Calls: 1, Succeeded: 10})
		b.Add(two, figures.Counts{Calls: 1, Refusals: 1})
		b.Add("106540352242999", figures.Counts{})
		for _, r := range []*figures.Recorder{a, b, a, b} { // the second Flush of each has nothing to add
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		series, err := figures.Read(t.Context(), rdb, time.Hour, one, two, "106540352242999")
		if err != nil || len(series) != 3 || len(series[0].Minutes) != 60 {
			t.Fatalf("%d series of %d minutes, %v", len(series), len(series[0].Minutes), err)
		}
		want := []figures.Counts{{Calls: 3, Succeeded: 1008, DeadLettered: 2, Refusals: 1}, {Calls: 1, Refusals: 1}, {}}
		for i, s := range series {
			if diff := cmp.Diff(want[i], s.Sum()); diff != "" {
				t.Errorf("series %d: %s", i, diff)
			}
		}
		if rate := series[0].Minutes[59].Rate + series[0].Minutes[58].Rate; rate != 3.25 { // 58 where a minute began just now
			t.Errorf("rate %v", rate)
		}
		keys, err := rdb.Keys(t.Context(), "*").Result()
		if err != nil || len(keys) < 2 || len(keys) > 4 { // two for each where a slot began just now
			t.Fatalf("keys %q, %v", keys, err)
		}
		for _, k := range keys {
			if left := rdb.TTL(t.Context(), k).Val(); left < 24*time.Hour || left > 25*time.Hour {
				t.Errorf("%s expires in %v", k, left)
			}
		}
	})
}

// TestSeriesIsInOrder: minutes come in their order, across the ends of slots, for as long as they are kept.
func TestSeriesIsInOrder(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	r := figures.NewRecorder(rdb)
	start := time.Date(2026, 11, 26, 3, 7, 20, 0, time.UTC)
	for i := range 95 {
		m.SetTime(start.Add(time.Duration(i) * time.Minute))
		r.Add(one, figures.Counts{Calls: i + 1})
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []time.Duration{0, time.Minute, time.Hour, 95 * time.Minute, 2 * time.Hour, 48 * time.Hour} {
		series, err := figures.Read(t.Context(), rdb, last, one)
		if err != nil {
			t.Fatal(err)
		}
		minutes := series[0].Minutes
		if want := int(min(max(last, time.Minute), 24*time.Hour+40*time.Minute) / time.Minute); len(minutes) != want {
			t.Errorf("%v: %d minutes", last, len(minutes))
		}
		for i, c := range minutes {
			if want := max(0, 95-len(minutes)+1+i); c.Calls != want {
				t.Fatalf("%v: minute %d of %d has %d calls, want %d", last, i, len(minutes), c.Calls, want)
			}
		}
	}
}

// TestLastMinute: the last 60 seconds are the current minute, and a share of the one before.
func TestLastMinute(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		minutes []int
		past    time.Duration
		want    int
	}{
		"nothing known":          {nil, 0, 0},
		"one minute":             {[]int{7}, 3 * time.Second, 7},
		"a minute just began":    {[]int{60, 0}, 0, 60},
		"half a minute":          {[]int{60, 30}, 30 * time.Second, 60},
		"a minute is about over": {[]int{60, 59}, 59 * time.Second, 60},
		"older ones don't count": {[]int{1000, 0, 5}, time.Second, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := figures.Series{Past: c.past}
			for _, n := range c.minutes {
				s.Minutes = append(s.Minutes, figures.Minute{Counts: figures.Counts{Succeeded: n}})
			}
			if got := s.LastMinute(); got.Succeeded != c.want {
				t.Errorf("%d, want %d", got.Succeeded, c.want)
			}
			if sum := s.Sum(); sum.Calls != 0 {
				t.Error(sum)
			}
		})
	}
}

// TestNothingCountsTwice: figures that were flushed at random times add up to what was added.
func TestNothingCountsTwice(t *testing.T) {
	t.Parallel()
	m, rdb := redistest.Mini(t)
	rapid.Check(t, func(t *rapid.T) {
		m.FlushAll()
		now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
		recorders := []*figures.Recorder{figures.NewRecorder(rdb), figures.NewRecorder(rdb)}
		want := figures.Counts{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "s")) * time.Second)
			m.SetTime(now)
			r := recorders[rapid.IntRange(0, 1).Draw(t, "recorder")]
			if rapid.Bool().Draw(t, "away") {
				m.SetError("LOADING")
			}
			n := rapid.IntRange(0, 1000).Draw(t, "n")
			r.Add(one, figures.Counts{Succeeded: n, Calls: 1})
			want.Succeeded, want.Calls = want.Succeeded+n, want.Calls+1
			_ = r.Flush(t.Context()) // what Redis did not take waits
			m.SetError("")
		}
		for _, r := range recorders {
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		series, err := figures.Read(t.Context(), rdb, 2*time.Hour, one)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, series[0].Sum()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestKeysOfOtherKinds: what another program wrote there counts as nothing.
func TestKeysOfOtherKinds(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	now := rdb.Time(t.Context()).Val()
	slot := strconv.FormatInt(now.Unix()/1200, 10)
	minute := strconv.FormatInt(now.Unix()/60%20, 10)
	rdb.HSet(t.Context(), "wablock:{"+one+"}:minutes:"+slot, minute+"s", "many", minute+"c", "-5", "x", "1")
	series, err := figures.Read(t.Context(), rdb, 2*time.Minute, one)
	if err != nil || series[0].Sum() != (figures.Counts{}) {
		t.Errorf("%+v, %v", series, err)
	}
}

package redislimit

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/limittest"
	"github.com/wablock/wablock/tasks/redistest"
)

// TestAgreesWithMemory plays the same calls through both limiters on the same clock: what the scripts do in Lua and what
// limittest does in Go must never differ.
func TestAgreesWithMemory(t *testing.T) {
	t.Parallel()
	server, client := redistest.Mini(t)
	rapid.Check(t, func(rt *rapid.T) {
		server.FlushAll()
		set := ratelimit.Settings{
			Rate:     float64(rapid.IntRange(1, 400).Draw(rt, "rate")) / 4,
			Burst:    rapid.IntRange(1, 10).Draw(rt, "burst"),
			MaxUsers: rapid.IntRange(1, 1000).Draw(rt, "max users"),
		}
		settings := func(string) ratelimit.Settings { return set }
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		seed := rapid.Uint64().Draw(rt, "seed")
		ours, theirs := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 0))

		shared := New(client, settings)
		shared.now, shared.jitter = func() time.Time { return now }, ours.Float64
		memory := limittest.NewMemory(settings, limittest.MemoryConfig{
			Now: func() time.Time { return now }, Jitter: theirs.Float64,
		})

		key := ratelimit.Key{PhoneNumberID: "1"}
		if rapid.Bool().Draw(rt, "account") {
			key.Account = "A"
		}
		var flying []ratelimit.Grant
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 900_000).Draw(rt, "µs")) * time.Microsecond)
			if rapid.IntRange(0, 30).Draw(rt, "clock goes back") == 0 {
				now = now.Add(-time.Duration(rapid.IntRange(1, 600).Draw(rt, "s")) * time.Second)
			}
			server.SetTime(now)
			if len(flying) == 0 || rapid.IntRange(0, 2).Draw(rt, "take") > 0 {
				got, err := shared.Take(t.Context(), key)
				if err != nil {
					rt.Fatal(err)
				}
				if got.Reason == ratelimit.Ceiling {
					continue // the ceiling in each process, which Memory does not have
				}
				want, _ := memory.Take(t.Context(), key)
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatalf("take (-memory +redis):\n%s", diff)
				}
				if got.OK {
					flying = append(flying, got)
				}
				continue
			}
			g := flying[0]
			flying = flying[1:]
			if rapid.IntRange(0, 9).Draw(rt, "cancel") == 0 {
				_ = memory.Cancel(t.Context(), key, g)
				if err := shared.Cancel(t.Context(), key, g); err != nil {
					rt.Fatal(err)
				}
				continue
			}
			o := observations(g).Draw(rt, "observation")
			_ = memory.Report(t.Context(), key, g, o)
			if err := shared.Report(t.Context(), key, g, o); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func observations(g ratelimit.Grant) *rapid.Generator[ratelimit.Observation] {
	return rapid.Custom(func(rt *rapid.T) ratelimit.Observation {
		o := ratelimit.Observation{Users: rapid.IntRange(1, g.MaxUsers).Draw(rt, "users"), Retry: rapid.Bool().Draw(rt, "retry")}
		switch rapid.IntRange(0, 9).Draw(rt, "outcome") {
		case 0:
			o.Limited = true
		case 1:
			o.Limited, o.RetryAfter = true, time.Duration(rapid.IntRange(1, 5).Draw(rt, "seconds"))*time.Second
		case 2:
			o.Limited, o.Account = true, true
		case 3: // cut connection
		case 4:
			o.Served, o.UsagePercent = true, rapid.IntRange(1, 100).Draw(rt, "usage")
			o.RetryAfter = time.Duration(rapid.IntRange(0, 3).Draw(rt, "regain")) * time.Second
		default:
			o.Served = true
		}
		return o
	})
}

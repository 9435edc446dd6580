package simulator_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/wablock/wablock/client/simulator"
)

// TestListIsASet holds the list, read in pages, against a plain ordered set under random calls.
func TestListIsASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		capacity := rapid.IntRange(1, 12).Draw(rt, "capacity")
		s, err := simulator.New(simulator.Config{Scenario: simulator.Scenario{Blocking: simulator.Blocking{Capacity: capacity}}})
		if err != nil {
			rt.Fatal(err)
		}
		g := rig{s, t}
		var model []string
		pick := rapid.SliceOfN(rapid.SampledFrom(users(16)), 1, 8)
		rt.Repeat(map[string]func(*rapid.T){
			"block": func(rt *rapid.T) {
				us := pick.Draw(rt, "users")
				failed := g.block(us...).failures()
				for _, u := range us {
					if slices.Contains(model, u) {
						continue
					}
					if len(model) == capacity {
						if failed[u] != 139101 {
							rt.Fatalf("%s on a full list: %v", u, failed)
						}
						continue
					}
					model = append(model, u)
				}
			},
			"unblock": func(rt *rapid.T) {
				us := pick.Draw(rt, "users")
				if r := g.unblock(us...); r.Status != 200 {
					rt.Fatal(r.Raw)
				}
				model = slices.DeleteFunc(model, func(u string) bool { return slices.Contains(us, u) })
			},
			"": func(rt *rapid.T) {
				limit := rapid.SampledFrom([]string{"1", "3", "100"}).Draw(rt, "limit")
				var got []string
				for next := "?limit=" + limit; next != ""; {
					r := g.list(next)
					got = append(got, r.waIDs()...)
					next = ""
					if r.Paging.Next != "" {
						next = query(t, r.Paging.Next)
					}
				}
				if !slices.Equal(got, digits(model)) || !slices.Equal(got, g.Snapshot(phone)) {
					rt.Fatalf("listed %v, want %v", got, digits(model))
				}
			},
		})
	})
}

// TestSameSeedSameAnswers makes the same random calls to two simulators.
func TestSameSeedSameAnswers(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{
		Window: simulator.Window{SilentShare: 0.3},
		Faults: []simulator.Fault{
			{Effect: simulator.EffectFailUser, Probability: 0.2},
			{Effect: simulator.EffectOmitUser, Probability: 0.1},
			{Effect: simulator.EffectFail, Code: 1, Probability: 0.1},
			{Effect: simulator.EffectTruncated, Probability: 0.1},
		},
	}
	rapid.Check(t, func(rt *rapid.T) {
		sc.Seed = rapid.Uint64Range(1, 9).Draw(rt, "seed")
		us := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(users(30)), 1, 9), 1, 20).Draw(rt, "calls")
		run := func() (answers []string) {
			s, err := simulator.New(simulator.Config{Scenario: sc})
			if err != nil {
				rt.Fatal(err)
			}
			for _, call := range us {
				rec := httptest.NewRecorder()
				s.ServeHTTP(rec, request("POST", "/1/block_users", body(call...)))
				answers = append(answers, rec.Body.String())
			}
			return answers
		}
		if diff := cmp.Diff(run(), run()); diff != "" {
			rt.Fatal(diff)
		}
	})
}

package worker_test

import (
	"maps"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// TestEveryFormOfAnswer runs a worker against each setting of the simulator that stands for
// something unknown of the real API: whatever form its answers have, users end as they must.
func TestEveryFormOfAnswer(t *testing.T) {
	t.Parallel()
	const (
		never = "+15550131047" // never wrote
		own   = "+15550131021" // the business's own number
		other = "+15550000521" // has another wa_id
		bsuid = "US.13491208655302741918"
	)
	second := simulator.Duration(time.Second)
	for name, c := range map[string]struct {
		simulator.Scenario
		dead map[string]int // beside never and own
	}{
		"as documented":       {},
		"full_list call":      {Scenario: simulator.Scenario{Blocking: simulator.Blocking{FullList: "call"}}},
		"bad_users call":      {Scenario: simulator.Scenario{Blocking: simulator.Blocking{BadUsers: "call"}}},
		"max_users":           {Scenario: simulator.Scenario{Blocking: simulator.Blocking{MaxUsers: 20}}},
		"too_many_code":       {Scenario: simulator.Scenario{Blocking: simulator.Blocking{MaxUsers: 20, TooManyCode: 100}}},
		"empty_code":          {Scenario: simulator.Scenario{Blocking: simulator.Blocking{EmptyCode: 100}}},
		"no_user_ids":         {Scenario: simulator.Scenario{Blocking: simulator.Blocking{NoUserIDs: true}}, dead: map[string]int{bsuid: 100}},
		"parent_user_ids":     {Scenario: simulator.Scenario{Blocking: simulator.Blocking{ParentUserIDs: true}}},
		"window.blocked_too":  {Scenario: simulator.Scenario{Window: simulator.Window{BlockedToo: true}}},
		"window.unblock_too":  {Scenario: simulator.Scenario{Window: simulator.Window{UnblockToo: true}}},
		"window.scope":        {Scenario: simulator.Scenario{Window: simulator.Window{Scope: "account"}}},
		"mixed_status":        {Scenario: simulator.Scenario{Answers: simulator.Answers{MixedStatus: 200}}},
		"string_codes":        {Scenario: simulator.Scenario{Answers: simulator.Answers{StringCodes: true}}},
		"empty_lists":         {Scenario: simulator.Scenario{Answers: simulator.Answers{EmptyLists: true}}},
		"unblock_adds":        {Scenario: simulator.Scenario{Answers: simulator.Answers{UnblockAdds: true}}},
		"shuffle":             {Scenario: simulator.Scenario{Answers: simulator.Answers{Shuffle: true}}},
		"omit_usage":          {Scenario: simulator.Scenario{Answers: simulator.Answers{OmitUsage: true}}},
		"app_usage":           {Scenario: simulator.Scenario{Answers: simulator.Answers{AppUsage: true}}},
		"latency":             {Scenario: simulator.Scenario{Latency: simulator.Latency{Base: second / 100, PerUser: second / 1000, Jitter: second / 100}}},
		"api_version":         {Scenario: simulator.Scenario{APIVersion: "v26.0"}},
		"users_per_call":      {Scenario: simulator.Scenario{Limits: []simulator.Limit{{UsersPerCall: 20}}}},
		"users in a window":   {Scenario: simulator.Scenario{Limits: []simulator.Limit{{Users: 60, Window: second}}}},
		"limit with 613":      {Scenario: simulator.Scenario{Limits: []simulator.Limit{{Calls: 3, Window: second, Code: 613}}}},
		"limit of an account": {Scenario: simulator.Scenario{Limits: []simulator.Limit{{Scope: "account", Calls: 3, Window: second}}}},
		"limit of an app":     {Scenario: simulator.Scenario{Limits: []simulator.Limit{{Scope: "app", Calls: 3, Window: second}}}},
		"retry_after": {Scenario: simulator.Scenario{
			Answers: simulator.Answers{RetryAfter: true}, Limits: []simulator.Limit{{Calls: 3, Window: second}},
		}},
		"lockout": {Scenario: simulator.Scenario{Limits: []simulator.Limit{{Rate: 50, Burst: 3, Lockout: second / 2, LockoutExtend: second / 10}}}},
		"transient": {Scenario: simulator.Scenario{Faults: []simulator.Fault{{
			Effect: simulator.EffectFail, Code: 987654, Subcode: 5, Status: 500, Message: "later", Details: "please", Transient: true, Every: 3, Times: 3,
		}}}},
		"empty, cut and truncated": {Scenario: simulator.Scenario{Faults: []simulator.Fault{
			{Effect: simulator.EffectEmpty, Times: 1}, {Effect: simulator.EffectCut, Times: 1}, {Effect: simulator.EffectTruncated, Times: 1},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			w := newWorld(t, rdb, c.Scenario)
			w.run()
			dead := map[string]int{never: 131047, own: 131021}
			maps.Copy(dead, c.dead)
			good := append(numbersFrom(0, 30), other)
			if c.dead[bsuid] == 0 {
				good = append(good, bsuid)
			}
			for _, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
				requested := append([]string{}, good...)
				if op == ledger.Block {
					for u := range dead {
						requested = append(requested, u)
					}
				}
				p := w.settled(w.enqueue(op, requested...))
				if p.Succeeded != len(good) || p.Succeeded+p.DeadLettered != len(requested) {
					t.Errorf("%s: %+v, want %d of %d", op, p, len(good), len(requested))
				}
				if n, want := len(w.sim.Snapshot(phoneNumberID)), map[ledger.Operation]int{ledger.Block: len(good)}[op]; n != want {
					t.Errorf("%s: %d users on the list, want %d", op, n, want)
				}
			}
			for u, code := range dead {
				id, err := user.Parse(u)
				if err != nil {
					t.Fatal(err)
				}
				if e := w.entry(u); e.User != id || e.State != ledger.Dead || e.Failure == nil || e.Failure.Code != code {
					t.Errorf("%s: %+v, want code %d", id, e, code)
				}
			}
		})
	}
}

// TestRepeatsThatTheAPIRefuses: should the API have an error for who is blocked already, a repeat ends
// with it, and the user stays on the list.
func TestRepeatsThatTheAPIRefuses(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	w := newWorld(t, rdb, simulator.Scenario{Blocking: simulator.Blocking{RepeatCode: 131009}})
	w.run()
	numbers := numbersFrom(0, 20)
	if p := w.settled(w.enqueue(ledger.Block, numbers...)); p.Succeeded != 20 {
		t.Fatalf("%+v", p)
	}
	if p := w.settled(w.enqueue(ledger.Block, numbers...)); p.DeadLettered != 20 || len(w.sim.Snapshot(phoneNumberID)) != 20 {
		t.Errorf("%+v, %d on the list", p, len(w.sim.Snapshot(phoneNumberID)))
	}
	if p := w.settled(w.enqueue(ledger.Unblock, numbers...)); p.Succeeded != 20 || len(w.sim.Snapshot(phoneNumberID)) != 0 {
		t.Errorf("%+v, %d on the list", p, len(w.sim.Snapshot(phoneNumberID)))
	}
}

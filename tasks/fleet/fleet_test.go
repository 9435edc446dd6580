package fleet_test

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/redistest"
)

func member(rdb redis.UniversalClient, pid int, lanes func() []fleet.Lane) *fleet.Member {
	m := fleet.NewMember(rdb, fleet.Worker{Machine: "m", PID: pid, GraphHost: "graph.example.com", Version: "v1"}, slog.New(slog.DiscardHandler))
	m.Show(lanes)
	return m
}

func TestLanesAreShown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		at := time.Unix(1_700_000_000, 0).UTC()
		lanes := []fleet.Lane{
			{PhoneNumberID: "1", State: fleet.Halted, Since: at, Code: 190, Reason: "token refused", NextTrial: at.Add(time.Minute), LastCall: at},
			{PhoneNumberID: "2", State: fleet.Running, Pace: 12.5, LastCall: at.Add(time.Second)},
		}
		m := member(rdb, 1, func() []fleet.Lane { return lanes })
		other := member(rdb, 2, func() []fleet.Lane { return nil })
		for _, m := range []*fleet.Member{m, other} {
			if err := m.Beat(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		show := func(want ...fleet.Lane) {
			t.Helper()
			all, err := fleet.All(t.Context(), rdb)
			if err != nil || len(all) != 2 || all[0].PID != 1 || all[1].Lanes != nil {
				t.Fatalf("%+v, %v", all, err)
			}
			if diff := cmp.Diff(want, all[0].Lanes); diff != "" {
				t.Error(diff)
			}
		}
		show(lanes...)
		if all, err := fleet.Of(t.Context(), rdb, "2", "3"); err != nil || len(all) != 2 || len(all[0].Lanes) != 1 || all[0].LastCall != at.Add(time.Second) {
			t.Errorf("of one phone number ID: %+v, %v", all, err)
		}
		if all, err := fleet.Of(t.Context(), rdb); err != nil || len(all) != 2 || all[0].Lanes != nil {
			t.Errorf("of none: %+v, %v", all, err)
		}
		lanes = []fleet.Lane{{PhoneNumberID: "2", State: fleet.Full, Since: at}, {PhoneNumberID: "3", State: fleet.Running}}
		for range 12 { // also those that write everything again
			if err := m.Beat(t.Context()); err != nil {
				t.Fatal(err)
			}
			show(lanes...)
		}
		// What Redis loses is written again.
		keys := rdb.Keys(t.Context(), "wablock:worker:*").Val()
		if len(keys) != 1 {
			t.Fatalf("keys %q", keys)
		}
		rdb.Del(t.Context(), keys...)
		for range 2 {
			if err := m.Beat(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		show(lanes...)
		for _, key := range append(keys, "wablock:workers") {
			if ttl := rdb.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 10*time.Second {
				t.Errorf("%s expires in %v", key, ttl)
			}
		}
	})
}

func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		lanes := make([]fleet.Lane, fleet.MaxLanes+100)
		for i := range lanes {
			lanes[i] = fleet.Lane{PhoneNumberID: fmt.Sprint(i), State: fleet.Running}
		}
		lanes[len(lanes)-1].State = fleet.Halted
		if err := member(rdb, 1, func() []fleet.Lane { return lanes }).Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := fleet.All(t.Context(), rdb)
		if err != nil || len(all) != 1 || len(all[0].Lanes) != fleet.MaxLanes {
			t.Fatalf("%d workers, %v", len(all), err)
		}
		halted := 0
		for _, l := range all[0].Lanes {
			if l.State == fleet.Halted {
				halted++
			}
		}
		if halted != 1 {
			t.Errorf("%d lanes are halted", halted)
		}
	})
}

// TestWorkersThatDied: their entries count for nothing, and stay no longer than the next start of a worker.
func TestWorkersThatDied(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		dead := fmt.Sprintf(`{"expires":%d,"machine":"m","pid":7}`, time.Now().Add(-time.Hour).UnixMilli())
		rdb.HSet(t.Context(), "wablock:workers", "dead", dead, "garbled", "{")
		// Only a worker that can't write keeps the hash.
		if all, err := fleet.All(t.Context(), rdb); !errors.Is(err, fleet.ErrFull) {
			t.Errorf("%v, %v", all, err)
		}
		if err := member(rdb, 1, func() []fleet.Lane { return nil }).Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := rdb.HLen(t.Context(), "wablock:workers").Val(); n != 1 {
			t.Errorf("%d entries are left, want one", n)
		}
		if all, err := fleet.All(t.Context(), rdb); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
}

// TestFullRedis: workers go on to show what they do, since what is left to do goes on as well.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: redistest.Start(t).Addr})
	defer func() { _ = rdb.Close() }()
	lanes := []fleet.Lane{{PhoneNumberID: "1", State: fleet.Running}}
	m := member(rdb, 1, func() []fleet.Lane { return lanes })
	if err := m.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	rdb.ConfigSet(t.Context(), "maxmemory", "1")
	if err := rdb.Set(t.Context(), "x", "y", 0).Err(); err == nil {
		t.Fatal("Redis is not full")
	}
	for i := range 20 {
		lanes = []fleet.Lane{{PhoneNumberID: fmt.Sprint(i), State: fleet.Halted}}
		if err := m.Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		all, err := fleet.All(t.Context(), rdb)
		if err != nil || len(all) != 1 || !cmp.Equal(all[0].Lanes, lanes) {
			t.Fatalf("%+v, %v", all, err)
		}
	}
}

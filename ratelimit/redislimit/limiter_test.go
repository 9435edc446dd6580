package redislimit

import (
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

// newKey names a phone number and an account that no other test uses, as the Redis may be shared.
func newKey() ratelimit.Key {
	return ratelimit.Key{PhoneNumberID: "p" + rand.Text(), Account: "a" + rand.Text()}
}

func take(t *testing.T, l *Limiter, key ratelimit.Key) ratelimit.Grant {
	t.Helper()
	g, err := l.Take(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func report(t *testing.T, l *Limiter, key ratelimit.Key, g ratelimit.Grant, o ratelimit.Observation) {
	t.Helper()
	if err := l.Report(t.Context(), key, g, o); err != nil {
		t.Fatal(err)
	}
}

// started returns a limiter whose first call, the probe, has been served.
func started(t *testing.T, rdb redis.UniversalClient, key ratelimit.Key) *Limiter {
	t.Helper()
	l := New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 1000, Burst: 10} })
	report(t, l, key, take(t, l, key), ratelimit.Observation{Users: 1000, Served: true})
	return l
}

func TestStartsWithOneCall(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l, other := New(rdb, nil), New(rdb, nil)
		first := take(t, l, alice)
		if !first.OK || first.MaxUsers != 1000 {
			t.Fatalf("first grant is %+v", first)
		}
		if g := take(t, other, alice); g.OK || g.Reason != ratelimit.Probing || g.Wait <= 0 {
			t.Fatalf("second worker got %+v", g)
		}
		if err := l.Cancel(t.Context(), alice, first); err != nil {
			t.Fatal(err)
		}
		if g := take(t, other, alice); !g.OK {
			t.Fatalf("a cancelled probe left %+v", g)
		}
	})
}

// TestProbeOfADeadWorker: the probe of a worker that is dead is waited for by none, that of any other one is.
func TestProbeOfADeadWorker(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		key := newKey()
		of := func(worker string) ratelimit.Key {
			k := key
			k.Worker = worker
			return k
		}
		l, other := New(rdb, nil), New(rdb, nil)
		giveUp := func(worker string) {
			t.Helper()
			if err := other.GiveUp(t.Context(), of(worker)); err != nil {
				t.Fatal(err)
			}
		}
		giveUp("dead") // before anything is known of the limit
		if n := rdb.Exists(t.Context(), PhoneKey(key.PhoneNumberID), AccountKey(key.Account)).Val(); n != 0 {
			t.Errorf("giving up made %d limits", n)
		}
		late := take(t, l, of("dead"))
		for _, worker := range []string{"another", ""} {
			giveUp(worker)
			if g := take(t, other, of("two")); g.Reason != ratelimit.Probing {
				t.Fatalf("without the probe of %q: %+v", worker, g)
			}
		}
		giveUp("dead")
		second := take(t, other, of("two"))
		if !second.OK {
			t.Fatalf("after the dead worker's probe: %+v", second)
		}
		giveUp("dead")
		if g := take(t, l, of("three")); g.Reason != ratelimit.Probing {
			t.Fatalf("beside the second probe: %+v", g)
		}
		report(t, other, of("two"), second, ratelimit.Observation{Users: 1, Served: true})
		report(t, l, of("dead"), late, ratelimit.Observation{Users: 1, Served: true}) // it was only cut off
		if s, err := l.Show(t.Context(), key.PhoneNumberID); err != nil || s.Probing {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestStatedPauseHoldsForAllWorkers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		g := grantEventually(t, l, alice)
		report(t, l, alice, g, ratelimit.Observation{Users: 1, Limited: true, RetryAfter: time.Hour})
		for _, worker := range []*Limiter{l, New(rdb, nil)} {
			if g := take(t, worker, alice); g.OK || g.Reason != ratelimit.Paused || g.Wait < 59*time.Minute || g.Wait > time.Hour {
				t.Fatalf("in a stated pause: %+v", g)
			}
		}
		bob := ratelimit.Key{PhoneNumberID: newKey().PhoneNumberID, Account: alice.Account}
		if g := take(t, l, bob); !g.OK {
			t.Fatalf("another phone number is paused with it: %+v", g)
		}
	})
}

func TestAccountPausesAllItsNumbers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		g := grantEventually(t, l, alice)
		report(t, l, alice, g, ratelimit.Observation{Users: 1, Limited: true, Account: true, RetryAfter: time.Hour})
		bob := ratelimit.Key{PhoneNumberID: newKey().PhoneNumberID, Account: alice.Account}
		carol := newKey()
		for range 2 { // a refused Take must give back what the phone number's bucket gave
			if g := take(t, l, bob); g.OK || g.Reason != ratelimit.Paused {
				t.Fatalf("same account: %+v", g)
			}
		}
		if g := take(t, l, carol); !g.OK {
			t.Fatalf("other account: %+v", g)
		}
	})
}

func TestStateOutlivesWorkers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		report(t, l, alice, grantEventually(t, l, alice), ratelimit.Observation{Users: 1, Limited: true, RetryAfter: time.Hour})
		r, err := New(rdb, nil).load(t.Context(), l.phone(alice.PhoneNumberID), ratelimit.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		if s := r.state; s.Epoch != 1 || s.LimitErrors != 1 || s.Anchor == 0 || !s.Stated || s.Batch.Proven != 1000 {
			t.Fatalf("a new worker reads %+v", s)
		}
		ttl, err := rdb.TTL(t.Context(), PhoneKey(alice.PhoneNumberID)).Result()
		if err != nil || ttl < stateTTL-time.Minute {
			t.Fatalf("time to live %v, %v", ttl, err)
		}
	})
}

// Many workers report at once; every limit error must be counted, and only the first may cut.
func TestConcurrentReports(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		const workers = 6
		var grants []ratelimit.Grant
		for range workers {
			grants = append(grants, grantEventually(t, l, alice))
		}
		var wg sync.WaitGroup
		for _, g := range grants {
			wg.Go(func() {
				if err := New(rdb, nil).Report(t.Context(), alice, g, ratelimit.Observation{Users: 1, Limited: true}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		r, err := l.load(t.Context(), l.phone(alice.PhoneNumberID), ratelimit.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		if r.state.Epoch != 1 || r.state.LimitErrors != workers {
			t.Fatalf("%d workers refused at once: epoch %d, %d errors", workers, r.state.Epoch, r.state.LimitErrors)
		}
	})
}

func TestNoLeaveWithoutRedis(t *testing.T) {
	t.Parallel()
	server, client := redistest.Mini(t)
	l, alice := New(client, nil), newKey()
	server.SetError("LOADING away")
	if g, err := l.Take(t.Context(), alice); err == nil || g.OK {
		t.Fatalf("got %+v, %v", g, err)
	}
	server.SetError("")
	if g := take(t, l, alice); !g.OK {
		t.Fatalf("after the outage: %+v", g)
	}
}

// grantEventually polls for a grant as a worker does.
func grantEventually(t *testing.T, l *Limiter, key ratelimit.Key) ratelimit.Grant {
	t.Helper()
	for {
		g := take(t, l, key)
		if g.OK {
			return g
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no grant")
		case <-time.After(g.Wait):
		}
	}
}

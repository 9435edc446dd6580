package redislimit

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

// spoil makes every script on a limit fail, as only one of two may: they can lie on different nodes of a cluster.
func spoil(t *testing.T, rdb redis.UniversalClient, key string) {
	t.Helper()
	if err := rdb.Rename(t.Context(), key, key+":away").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Set(t.Context(), key, "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func mend(t *testing.T, rdb redis.UniversalClient, key string) {
	t.Helper()
	if err := rdb.Rename(t.Context(), key+":away", key).Err(); err != nil {
		t.Fatal(err)
	}
}

func served(t *testing.T, l *Limiter, of bucket) int64 {
	t.Helper()
	r, err := l.store.read(t.Context(), of, ratelimit.Stamp{}, tally{})
	if err != nil {
		t.Fatal(err)
	}
	return r.count.Served
}

func TestOneOfTwoScriptsFails(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		g := grantEventually(t, l, alice)
		g.Phone.Due, g.Account.Due = false, false // then the report waits to be told
		report(t, l, alice, g, ratelimit.Observation{Users: 1, Served: true})
		before := served(t, l, l.phone(alice.PhoneNumberID))

		spoil(t, rdb, AccountKey(alice.Account))
		for range 5 {
			if g, err := l.Take(t.Context(), alice); err == nil || g.OK {
				t.Fatalf("got %+v, %v", g, err)
			}
		}
		r, err := l.store.read(t.Context(), l.phone(alice.PhoneNumberID), ratelimit.Stamp{}, tally{})
		if err != nil || r.count.Served != before+1 || r.count.Taken != 2 {
			t.Errorf("the script that ran counted %+v, %v; want %d served and 2 taken", r.count, err, before+1)
		}
		mend(t, rdb, AccountKey(alice.Account))
		report(t, l, alice, grantEventually(t, l, alice), ratelimit.Observation{Users: 1, Served: true})
		grantEventually(t, l, alice)
		if n := served(t, l, account(alice.Account)); n != 3 {
			t.Errorf("the account knows of %d served calls, not of 3", n)
		}
	})
}

func TestCancelGivesBackWhatItCan(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := started(t, rdb, alice)
		g := grantEventually(t, l, alice)
		spoil(t, rdb, PhoneKey(alice.PhoneNumberID))
		if err := l.Cancel(t.Context(), alice, g); err == nil {
			t.Fatal("half a cancellation is no error")
		}
		r, err := l.store.read(t.Context(), account(alice.Account), ratelimit.Stamp{}, tally{})
		if err != nil || r.count.Taken != 1 {
			t.Errorf("the account counts %d calls taken, not 1; %v", r.count.Taken, err)
		}
	})
}

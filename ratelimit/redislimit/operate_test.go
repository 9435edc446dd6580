package redislimit

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/redistest"
)

func TestOperators(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice := newKey()
		l := New(rdb, func(string) ratelimit.Settings { return ratelimit.Settings{Rate: 20} })
		ctx, id := t.Context(), alice.PhoneNumberID

		s, err := l.Show(ctx, id)
		if err != nil || !s.Probing || s.Rate != 2 || s.Ceiling != 20 || s.MaxUsers != 1000 || s.Reason != "probing" {
			t.Fatalf("before any call: %+v, %v", s, err)
		}
		if s, err = l.Pin(ctx, id, 7); err != nil || s.Rate != 7 || s.Pinned != 7 {
			t.Fatalf("pinned: %+v, %v", s, err)
		}
		if s, err = l.Cap(ctx, id, 3); err != nil || s.Rate != 3 || s.Capped != 3 {
			t.Fatalf("capped: %+v, %v", s, err)
		}
		report(t, l, alice, take(t, l, alice), ratelimit.Observation{Users: 1, Limited: true, RetryAfter: time.Hour})
		if s, err = l.Show(ctx, id); err != nil || !s.Stated || s.Reason != "paused" || s.LimitErrors != 1 || s.Wait(3) < time.Hour-time.Minute {
			t.Fatalf("paused: %+v, %v", s, err)
		}
		if s, err = l.Release(ctx, id); err != nil || s.Pinned+s.Capped != 0 || !s.PausedUntil.IsZero() || !s.Probing {
			t.Fatalf("released: %+v, %v", s, err)
		}
		if g := take(t, l, alice); !g.OK {
			t.Fatalf("after release: %+v", g)
		}
		if s, err = l.ShowAccount(ctx, alice.Account); err != nil || s.Rate != ratelimit.MaxRate {
			t.Fatalf("account that was never met: %+v, %v", s, err)
		}
	})
}

func TestOperatorsRefuseBadRates(t *testing.T) {
	t.Parallel()
	_, client := redistest.Mini(t)
	for _, rate := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := New(client, nil).Pin(t.Context(), "1", rate); !errors.Is(err, ErrBadRate) {
			t.Errorf("rate %v: %v", rate, err)
		}
	}
}

func TestSnapshotJSON(t *testing.T) {
	t.Parallel()
	_, client := redistest.Mini(t)
	s, err := New(client, nil).Show(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil || strings.Contains(string(text), "paused_until") || !strings.Contains(string(text), `"rate":2`) {
		t.Fatalf("%s, %v", text, err)
	}
}

// Package redistest gives tests a Redis: miniredis in process, and a real one of their own.
//
// A real one is redis-server from PATH, started on a free port with a folder of its own, or
// the server that WABLOCK_TEST_REDIS_URL names, where each test empties and uses a database
// of its own among 1 to 15. Where there is neither
// the test is skipped, saying so; with WABLOCK_TEST_REQUIRE_REDIS set it fails instead, so
// that CI cannot pass by skipping.
package redistest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Each runs body twice, on miniredis and on a real Redis, as the subtests "mini" and "redis".
func Each(t *testing.T, body func(t *testing.T, rdb redis.UniversalClient)) {
	t.Helper()
	t.Run("mini", func(t *testing.T) {
		t.Parallel()
		_, rdb := Mini(t)
		body(t, rdb)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		body(t, Real(t))
	})
}

// Mini starts a miniredis that ends with the test.
func Mini(t testing.TB) (*miniredis.Miniredis, redis.UniversalClient) {
	t.Helper()
	collectLess()
	m := miniredis.RunT(t)
	return m, clientOf(t, &redis.Options{Addr: m.Addr()})
}

// Real returns a client of an empty real Redis that ends with the test.
func Real(t testing.TB) redis.UniversalClient {
	t.Helper()
	if url := os.Getenv("WABLOCK_TEST_REDIS_URL"); url != "" {
		return borrow(t, url)
	}
	return clientOf(t, &redis.Options{Addr: Start(t).Addr})
}

// borrow takes one database of the server at url for the time of the test.
func borrow(t testing.TB, url string) redis.UniversalClient {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatalf("redistest: WABLOCK_TEST_REDIS_URL: %v", err)
	}
	o.DB = 0
	locks := clientOf(t, o)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n = n%15 + 1 {
		lock := fmt.Sprintf("wablock-test:db:%d", n)
		ok, err := locks.SetNX(t.Context(), lock, t.Name(), 10*time.Minute).Result()
		if err != nil {
			t.Fatalf("redistest: %v", err)
		}
		if ok {
			t.Cleanup(func() { locks.Del(context.WithoutCancel(t.Context()), lock) })
			mine := *o
			mine.DB = n
			c := clientOf(t, &mine)
			if err := c.FlushDB(t.Context()).Err(); err != nil {
				t.Fatalf("redistest: flush: %v", err)
			}
			return c
		}
		<-tick.C
	}
}

func clientOf(t testing.TB, o *redis.Options) redis.UniversalClient {
	t.Helper()
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

package limittest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// RedisURL names a Redis for tests in place of one of their own. Other tests, and other programs, may use it at the same
// time: take keys that nobody else has.
const RedisURL = "WABLOCK_TEST_REDIS_URL"

// startTimeout is how long a redis-server may take until it answers.
const startTimeout = 10 * time.Second

// Mini returns a simulated Redis and a client of it. Its clock stands at the time that SetTime last gave it.
func Mini(tb testing.TB) (*miniredis.Miniredis, redis.UniversalClient) {
	tb.Helper()
	server := miniredis.RunT(tb)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	tb.Cleanup(func() { _ = client.Close() })
	return server, client
}

// Real returns a client of a real Redis: the one that WABLOCK_TEST_REDIS_URL names, or a redis-server from PATH, empty, that
// ends with the test. Without either the test is skipped.
func Real(tb testing.TB) redis.UniversalClient {
	tb.Helper()
	if url := os.Getenv(RedisURL); url != "" {
		opt, err := redis.ParseURL(url)
		if err != nil {
			tb.Fatalf("%s is no Redis URL", RedisURL)
		}
		client := redis.NewClient(opt)
		tb.Cleanup(func() { _ = client.Close() })
		if err := client.Ping(tb.Context()).Err(); err != nil {
			tb.Fatalf("the Redis of %s does not answer: %v", RedisURL, err)
		}
		return client
	}
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		tb.Skipf("needs a real Redis: no redis-server on PATH and %s is not set", RedisURL)
	}
	return start(tb, binary)
}

// start runs a server on a Unix socket, which needs no port, in a directory that is removed afterwards.
func start(tb testing.TB, binary string) redis.UniversalClient {
	tb.Helper()
	dir, err := os.MkdirTemp("", "wablock") // tb.TempDir is too long a path for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "", "--loglevel", "warning")
	if err := cmd.Start(); err != nil {
		tb.Fatalf("start redis-server: %v", err)
	}
	tb.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	tb.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	if err := answers(ctx, client, socket); err != nil {
		tb.Fatalf("redis-server does not answer: %v", err)
	}
	return client
}

// answers waits until the server listens and replies.
func answers(ctx context.Context, client redis.UniversalClient, socket string) error {
	for {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			_ = conn.Close()
			return client.Ping(ctx).Err()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

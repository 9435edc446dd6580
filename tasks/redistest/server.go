package redistest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server process. Its data lives in a folder of the test, with an
// append-only file, so that it survives Kill and Restart.
type Server struct {
	Addr string
	// Env holds further environment variables, NAME=VALUE, of the next start.
	Env []string

	dir  string
	port int
	args []string
	conf string // of a Sentinel, in place of the usual arguments
	cmd  *exec.Cmd
	// exited is closed when cmd has ended, with the reason in exit.
	exited chan struct{}
	exit   error
}

// Start starts a redis-server, with further arguments if given ("--maxmemory", "50mb").
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), args: args}
	s.begin(t)
	return s
}

// begin starts the server on a free port until the test ends.
func (s *Server) begin(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		const why = "redistest: no redis-server on PATH and no WABLOCK_TEST_REDIS_URL; install Debian's redis-server to run this test"
		if os.Getenv("WABLOCK_TEST_REQUIRE_REDIS") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	var err error
	for range 5 { // a free port may be taken between the look and the start
		if s.port, err = freePort(); err != nil {
			t.Fatalf("redistest: %v", err)
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if err = s.Restart(t.Context()); err == nil {
			t.Cleanup(s.Kill)
			return
		}
	}
	t.Fatalf("redistest: %v", err)
}

// freePort returns a port that is free now. It lies below the ports that systems give to outgoing
// connections (Linux: 32768 up, IANA: 49152 up): a server that is killed and started again needs
// the same port, and one from that range may by then be some connection's own end.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// Restart starts the server again on the same port with the same data, and returns when it
// answers. It is an error if it does not within a minute, which a busy machine may need to read the data.
func (s *Server) Restart(ctx context.Context) error {
	args, err := s.arguments()
	if err != nil {
		return err
	}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Env = append(os.Environ(), s.Env...)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	s.exited = make(chan struct{})
	go func() {
		s.exit = s.cmd.Wait()
		close(s.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.await(ctx)
}

func (s *Server) arguments() ([]string, error) {
	args := []string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--logfile", filepath.Join(s.dir, "redis.log")}
	if s.conf == "" {
		return append(append(args, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"), s.args...), nil
	}
	path := filepath.Join(s.dir, "sentinel.conf") // it writes there what it learns
	if err := os.WriteFile(path, []byte(s.conf), 0o600); err != nil {
		return nil, fmt.Errorf("write sentinel.conf: %w", err)
	}
	return append([]string{path, "--sentinel"}, args...), nil
}

// lastWords returns the end of the server's log.
func (s *Server) lastWords() []byte {
	log, err := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return []byte(err.Error())
	}
	return log[max(0, len(log)-2000):]
}

func (s *Server) await(ctx context.Context) error {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = c.Close() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.listens() && c.Ping(ctx).Err() == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("redis-server ended: %w; its log ends with:\n%s", s.exit, s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("redis-server does not answer: %w; its log ends with:\n%s", ctx.Err(), s.lastWords())
		case <-tick.C:
		}
	}
}

// listens spares go-redis, which logs each refusal, from dialling in vain.
func (s *Server) listens() bool {
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Kill ends the server with SIGKILL, and returns when it is gone.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// Written holds how much of each file of a server was written at some time.
type Written map[string]int64

// Written returns how much is written now. Under appendfsync always that is all that was answered, as long as the server
// does not rewrite its file.
func (s *Server) Written() (Written, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonly*", "*.incr.aof")) // of Redis 7
	if err != nil || len(files) == 0 {
		files = []string{filepath.Join(s.dir, "appendonly.aof")}
	}
	w := Written{}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("redistest: append-only file: %w", err)
		}
		w[name] = info.Size()
	}
	return w, nil
}

// Lose makes a killed server lose what it wrote since, as a failover does to a replica that lagged.
func (s *Server) Lose(since Written) error {
	for name, size := range since {
		info, err := os.Stat(name)
		if err == nil && info.Size() > size { // else it lost more since, and would be filled up with zeros
			err = os.Truncate(name, size)
		}
		if err != nil {
			return fmt.Errorf("redistest: append-only file: %w", err)
		}
	}
	return nil
}

// Process is the running server, for signals.
func (s *Server) Process() *os.Process { return s.cmd.Process }

// Replicated waits until the server's replicas have all that it has.
func (s *Server) Replicated(ctx context.Context) error {
	return s.do(ctx, func(r *redis.Client) error {
		n, err := r.Wait(ctx, 1, 5*time.Second).Result()
		if err == nil && n < 1 {
			err = fmt.Errorf("redistest: no replica of %s has caught up", s.Addr)
		}
		return err
	})
}

func (s *Server) do(ctx context.Context, f func(*redis.Client) error) error {
	r := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer func() { _ = r.Close() }()
	if err := f(r); err != nil {
		return fmt.Errorf("%s: %w", s.Addr, err)
	}
	return ctx.Err()
}

func (s *Server) awaitInfo(ctx context.Context, what string) error {
	return s.do(ctx, func(r *redis.Client) error {
		return until(ctx, func() error {
			info, err := r.Info(ctx).Result()
			return says(info, what, err)
		})
	})
}

func says(info, what string, err error) error {
	if err == nil && !strings.Contains(info, what) {
		err = fmt.Errorf("it never said %s", what)
	}
	return err
}

// until does something until it succeeds or ctx ends.
func until(ctx context.Context, do func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

package faultproxy_test

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wablock/wablock/cmd/wablock/acceptance/faultproxy"
)

// echo answers each line with the same line, and counts them.
func echo(t *testing.T) (addr string, lines *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	lines = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					lines.Add(1)
					_, _ = io.WriteString(c, line)
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

type conn struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func setup(t *testing.T) (*faultproxy.Proxy, func() conn, *atomic.Int64) {
	t.Helper()
	addr, lines := echo(t)
	p, err := faultproxy.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, func() conn {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return conn{t, c, bufio.NewReader(c)}
	}, lines
}

func (c conn) say() { _, _ = io.WriteString(c, "hello\n") }

// hears reports whether the echo comes within a time.
func (c conn) hears(within time.Duration) bool {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.r.ReadString('\n')
	return err == nil && line == "hello\n"
}

func TestPassesOn(t *testing.T) {
	t.Parallel()
	_, dial, _ := setup(t)
	c := dial()
	for range 3 {
		if c.say(); !c.hears(5 * time.Second) {
			t.Fatal("no echo")
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	p, dial, _ := setup(t)
	c := dial()
	if c.say(); !c.hears(5 * time.Second) {
		t.Fatal("no echo")
	}
	p.Cut()
	if c.say(); c.hears(5 * time.Second) {
		t.Error("an echo after the cut")
	}
	again := dial()
	if again.say(); !again.hears(5 * time.Second) {
		t.Error("no echo on a new connection")
	}
}

func TestHoldDeliversLateWhatItsClientGaveUp(t *testing.T) {
	t.Parallel()
	p, dial, lines := setup(t)
	c, gaveUp := dial(), dial()
	for _, each := range []conn{c, gaveUp} {
		if each.say(); !each.hears(5 * time.Second) {
			t.Fatal("no echo")
		}
	}
	p.Hold()
	c.say()
	gaveUp.say()
	if c.hears(100 * time.Millisecond) {
		t.Error("an echo while held")
	}
	_ = gaveUp.Close()
	p.Release()
	if !c.hears(5 * time.Second) {
		t.Error("no echo when released")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if <-tick.C; lines.Load() == 4 {
			return
		}
	}
	t.Errorf("%d lines arrived, want 4", lines.Load())
}

func TestDelay(t *testing.T) {
	t.Parallel()
	p, dial, _ := setup(t)
	c := dial()
	p.Delay(50 * time.Millisecond)
	start := time.Now()
	if c.say(); !c.hears(5*time.Second) || time.Since(start) < 100*time.Millisecond {
		t.Errorf("an echo, if any, after %v", time.Since(start))
	}
}

func TestLoseReplies(t *testing.T) {
	t.Parallel()
	p, dial, lines := setup(t)
	c := dial()
	p.LoseReplies(1)
	if c.say(); c.hears(5 * time.Second) {
		t.Error("the reply came")
	}
	if lines.Load() != 1 || p.Lost() != 1 {
		t.Errorf("%d requests arrived, %d replies lost", lines.Load(), p.Lost())
	}
	again := dial()
	if again.say(); !again.hears(5 * time.Second) {
		t.Error("no echo after that")
	}
}

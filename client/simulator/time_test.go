package simulator_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wablock/wablock/client/simulator"
)

// pipes is a listener without a network: sockets stop the clock of a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble serves a scenario over pipes in a bubble, and hands over a client.
func inBubble(t *testing.T, sc simulator.Scenario, test func(t *testing.T, g rig, c *http.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := setup(t, sc)
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		server := &http.Server{Handler: g, BaseContext: func(net.Listener) context.Context { return ctx }}
		go func() { _ = server.Serve(p) }()
		transport := &http.Transport{DialContext: p.dial}
		defer func() {
			cancel()
			transport.CloseIdleConnections()
			_ = server.Close()
		}()
		test(t, g, &http.Client{Transport: transport})
	})
}

// post blocks users and says how long that took.
func post(t *testing.T, c *http.Client, timeout time.Duration, us ...string) (reply, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://simulator/v25.0/"+phone+"/block_users", strings.NewReader(body(us...)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer x")
	start := time.Now()
	res, err := c.Do(req)
	took := time.Since(start)
	if err != nil {
		return reply{}, took, err
	}
	defer func() { _ = res.Body.Close() }()
	return decode(t, res), took, nil
}

func TestLatency(t *testing.T) {
	t.Parallel()
	latency := simulator.Latency{Base: simulator.Duration(100 * time.Millisecond), PerUser: simulator.Duration(time.Millisecond)}
	inBubble(t, simulator.Scenario{Latency: latency}, func(t *testing.T, g rig, c *http.Client) {
		r, took, err := post(t, c, time.Minute, users(50)...)
		if err != nil || r.Status != 200 || took != 150*time.Millisecond {
			t.Errorf("%d after %v, %v; want 150ms", r.Status, took, err)
		}
		call := g.Journal()[0]
		if got := call.End.Sub(call.Begin); got != took {
			t.Errorf("the journal says %v", got)
		}
	})
	latency.Jitter = simulator.Duration(time.Second)
	inBubble(t, simulator.Scenario{Latency: latency}, func(t *testing.T, _ rig, c *http.Client) {
		_, took, err := post(t, c, time.Minute, users(1)...)
		if err != nil || took <= 101*time.Millisecond || took >= 1101*time.Millisecond {
			t.Errorf("after %v, %v", took, err)
		}
	})
}

func TestSlowNumber(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, _ rig, c *http.Client) {
		r, took, err := post(t, c, time.Minute, "+15550003000", "+16505551234")
		if err != nil || r.Status != 200 || took != 3*time.Second {
			t.Errorf("%d after %v, %v", r.Status, took, err)
		}
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Faults: []simulator.Fault{
		{Effect: simulator.EffectDelay, Delay: simulator.Duration(time.Second)},
		{Effect: simulator.EffectDelay, Delay: simulator.Duration(time.Second), Times: 1},
		{Effect: simulator.EffectFail, Code: 2},
	}}
	inBubble(t, sc, func(t *testing.T, g rig, c *http.Client) {
		for _, want := range []time.Duration{2 * time.Second, time.Second} {
			r, took, err := post(t, c, time.Minute, users(1)...)
			if err != nil || r.Error.Code != 2 {
				t.Errorf("%d, %v", r.Error.Code, err)
			}
			if took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		}
	})
}

func TestHangEndsWithTheClient(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		sc := simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectHang, Applied: applied}}}
		inBubble(t, sc, func(t *testing.T, g rig, c *http.Client) {
			_, took, err := post(t, c, 10*time.Second, users(1)...)
			if !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
				t.Errorf("%v after %v", err, took)
			}
			synctest.Wait()
			if call := g.Journal()[0]; call.Ended == 0 || call.Status != 0 {
				t.Errorf("the call did not end: %+v", call)
			}
			if got := len(g.Snapshot(phone)) == 1; got != applied {
				t.Errorf("took effect: %v, want %v", got, applied)
			}
		})
	}
}

func TestClientThatLeavesEarly(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{Latency: simulator.Latency{Base: simulator.Duration(10 * time.Second)}}
	for timeout, applied := range map[time.Duration]bool{4 * time.Second: false, 6 * time.Second: true} {
		inBubble(t, sc, func(t *testing.T, g rig, c *http.Client) {
			if _, _, err := post(t, c, timeout, users(1)...); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			synctest.Wait()
			if got := len(g.Snapshot(phone)) == 1; got != applied {
				t.Errorf("left after %v: took effect %v, want %v", timeout, got, applied)
			}
		})
	}
}

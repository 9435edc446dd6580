// Package faultproxy is a TCP proxy that does on command what networks do at the worst moment:
// it cuts connections, holds or delays what is sent, and loses replies. Tests put it between a
// process and its Redis.
package faultproxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy passes connections on to one target. Its methods take effect on connections that are
// open as well as on those to come. Safe for concurrent use.
type Proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup
	closed chan struct{}

	mu    sync.Mutex
	pairs map[*pair]struct{}
	// flow is closed while bytes may pass.
	flow  chan struct{}
	held  bool
	delay time.Duration
	lose  int
	lost  int
}

// Listen starts a proxy to target on a free port of the loopback interface. The caller closes it.
func Listen(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback: it is at once or not at all
	if err != nil {
		return nil, fmt.Errorf("faultproxy: %w", err)
	}
	p := &Proxy{target: target, l: l, closed: make(chan struct{}), pairs: map[*pair]struct{}{}, flow: make(chan struct{})}
	close(p.flow)
	p.wg.Go(p.accept)
	return p, nil
}

// Addr returns the address that the proxy listens on.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Close ends the proxy and every connection, and returns when nothing is left of them.
func (p *Proxy) Close() {
	p.mu.Lock()
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	p.mu.Unlock()
	_ = p.l.Close()
	p.Cut()
	p.wg.Wait()
}

// Cut resets every open connection. What was on its way is lost.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.cut()
	}
}

// Hold keeps back what is sent in either direction until Release. A client that gives up
// meanwhile does not take back what it has sent: that arrives late.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		p.held, p.flow = true, make(chan struct{})
	}
}

// Release lets pass what Hold has kept back.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.held = false
		close(p.flow)
	}
}

// Delay lets every piece wait for d in each direction; 0 ends that.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LoseReplies throws the next n replies of the target away, and cuts the connections that they
// were for: the request was carried out, and its client cannot know.
func (p *Proxy) LoseReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// Lost returns the number of replies lost so far.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// pair is one connection and its counterpart.
type pair struct {
	client, target net.Conn
	once           sync.Once
	gone           chan struct{}
}

// cut closes both sides; the client sees a reset.
func (c *pair) cut() {
	c.once.Do(func() {
		close(c.gone)
		if tcp, ok := c.client.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.client.Close()
		_ = c.target.Close()
	})
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	target, err := net.DialTimeout("tcp", p.target, 5*time.Second) //nolint:noctx // it has its timeout
	if err != nil {
		_ = client.Close()
		return
	}
	c := &pair{client: client, target: target, gone: make(chan struct{})}
	p.mu.Lock()
	select {
	case <-p.closed:
		p.mu.Unlock()
		c.cut()
		return
	default:
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()
	defer func() {
		c.cut()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { p.copy(c, c.target, c.client, false) })
	both.Go(func() {
		p.copy(c, c.client, c.target, true)
		c.cut() // the target is gone: so is the connection
	})
	both.Wait()
}

// copy passes bytes on. When the client leaves, what it has sent before still arrives.
func (p *Proxy) copy(c *pair, to, from net.Conn, replies bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.pass(c) {
				return
			}
			if replies && p.loses() {
				c.cut()
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				c.cut()
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			return
		}
	}
}

// pass waits for as long as bytes are held or delayed. It is false when the connection is cut.
func (p *Proxy) pass(c *pair) bool {
	for {
		p.mu.Lock()
		flow, delay, held := p.flow, p.delay, p.held
		p.mu.Unlock()
		if !held && delay == 0 {
			return true
		}
		if delay > 0 && !held {
			t := time.NewTimer(delay)
			defer t.Stop()
			select {
			case <-t.C:
				return true
			case <-c.gone:
				return false
			}
		}
		select {
		case <-flow:
		case <-c.gone:
			return false
		}
	}
}

func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == 0 {
		return false
	}
	p.lose--
	p.lost++
	return true
}

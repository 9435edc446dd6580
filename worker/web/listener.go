package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxConnections = 256
	// graceToAsk is how long a connection may be without a request before another takes its place.
	graceToAsk = 100 * time.Millisecond
)

// limitListener bounds the connections that are open. A new one takes the place of the one that
// has been without a request for longest: who holds connections open and asks for nothing can't
// shut others out, least of all the probe of /healthz whose failing gets the process killed.
// While there is none to give up, new ones wait.
type limitListener struct {
	net.Listener

	mu     sync.Mutex
	change sync.Cond // on mu: there may be room
	closed bool
	since  map[*limitedConn]time.Time // since when it has no request; zero while one is answered
}

func newLimitListener(l net.Listener) *limitListener {
	limit := &limitListener{Listener: l, since: make(map[*limitedConn]time.Time)}
	limit.change.L = &limit.mu
	return limit
}

func (l *limitListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	limited := &limitedConn{Conn: c, listener: l}
	if !l.admit(limited) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return limited, nil
}

// admit makes room for a connection; it reports false when the listener was closed meanwhile.
func (l *limitListener) admit(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && len(l.since) >= maxConnections {
		idle := l.longestIdle()
		if idle == nil {
			l.change.Wait()
			continue
		}
		if grace := graceToAsk - time.Since(l.since[idle]); grace > 0 {
			timer := time.AfterFunc(grace, l.change.Broadcast)
			l.change.Wait()
			timer.Stop()
			continue
		}
		delete(l.since, idle)
		_ = idle.Conn.Close()
	}
	if !l.closed {
		l.since[c] = time.Now()
	}
	return !l.closed
}

// longestIdle requires mu held. It returns nil while all are being answered.
func (l *limitListener) longestIdle() *limitedConn {
	var longest *limitedConn
	for c, since := range l.since {
		if !since.IsZero() && (longest == nil || since.Before(l.since[longest])) {
			longest = c
		}
	}
	return longest
}

// set says since when an open connection is without a request; zero for one that has one.
func (l *limitListener) set(c *limitedConn, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.since[c]; open {
		l.since[c] = since
	}
	l.change.Signal()
}

func (l *limitListener) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.since, c)
	l.change.Signal()
}

func (l *limitListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.change.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	listener *limitListener
}

func (c *limitedConn) Close() error {
	c.listener.leave(c)
	return c.Conn.Close()
}

type connKey struct{}

// follow lets the listener know what a server's connections are at. A request counts from its
// headers' end, and until its answer is out.
func follow(srv *http.Server) {
	next := srv.Handler
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*limitedConn); ok {
			c.listener.set(c, time.Time{})
		}
		next.ServeHTTP(w, r)
	})
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if limited, ok := c.(*limitedConn); ok && state == http.StateIdle {
			limited.listener.set(limited, time.Now())
		}
	}
}

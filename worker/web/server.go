package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds for slow and greedy clients. The slowest honest answer is a page of tasks from a Redis
// that is itself slow; nobody uploads anything.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxConnections    = 256
	stopTimeout       = 5 * time.Second
)

// Server serves a handler on one address.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds addr ("host:port"; port 0 takes a free one) and serves nothing before Run. The
// logger may be nil. Who never calls Run calls Close.
func Listen(addr string, h http.Handler, logger *slog.Logger) (*Server, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // binding a port does not wait
	if err != nil {
		return nil, fmt.Errorf("web: %w: choose another address with WABLOCK_HTTP_ADDR, or none with an empty one", err)
	}
	return &Server{
		listener: &limitListener{Listener: l, slots: make(chan struct{}, maxConnections), closed: make(chan struct{})},
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		},
	}, nil
}

// Addr is the address that was bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close lets go of the address at once, whether Run was called or not.
func (s *Server) Close() error { return errors.Join(s.listener.Close(), s.http.Close()) }

// Run serves until ctx ends, then lets requests in flight end for up to five seconds. It returns
// nil after such a stop.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("web: serve: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		_ = s.http.Close() // the answer that did not end in time is given up
	}
	<-served //nolint:errcheck // that it was closed
	return nil
}

// limitListener accepts no further connection while all slots are taken: the rest wait in the
// kernel's queue, and cost this process neither memory nor descriptors.
type limitListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, slots: l.slots}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	once  sync.Once
	slots chan struct{}
}

func (c *limitedConn) Close() error {
	defer c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

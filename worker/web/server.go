package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds for slow and greedy clients. The slowest legitimate answer is a page of tasks from a
// Redis that is itself slow. A connection that asks for nothing costs a file descriptor and some
// kilobytes until one of these passes; connections are not counted, so that a client which holds
// many of them open cannot shut out the probe of /healthz.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 10 * time.Second
	maxHeaderBytes    = 16 << 10
	stopTimeout       = 5 * time.Second
)

// Server serves a handler on one address.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds addr ("host:port"; port 0 takes a free one) and serves nothing before Run. The
// logger may be nil. A caller that never calls Run must call Close.
func Listen(addr string, h http.Handler, logger *slog.Logger) (*Server, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", addr) //nolint:noctx // binding a port does not block
	if err != nil {
		return nil, fmt.Errorf("web: %w: choose another address with WABLOCK_HTTP_ADDR, or none with an empty one", err)
	}
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	return &Server{listener: l, http: srv}, nil
}

// Addr returns the address that was bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close releases the address at once, whether Run was called or not.
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
		_ = s.http.Close() // drops the answers that did not end in time
	}
	<-served //nolint:errcheck // http.ErrServerClosed
	return nil
}

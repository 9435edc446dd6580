package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// withSignals returns a context that the first SIGINT, SIGTERM or SIGHUP cancels, which asks for a
// graceful end. The second ends the process at once. A SIGHUP that was ignored when the program
// started, as under nohup, stays ignored.
func withSignals(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		for range 2 {
			select {
			case <-signals:
				if ctx.Err() != nil {
					os.Exit(exitInterrupted)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// interruptibly returns what do returns, or the zero value and the error of ctx when that ends
// first: opening a pipe, or reading from one, may take for ever.
func interruptibly[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	select {
	case got := <-done:
		return got.v, got.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// pauseFor returns when d has passed, or with the error of ctx.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// interruptible reads r until ctx ends: Ctrl-C must end a command that waits for its input.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		own := make([]byte, len(p)) // p is the caller's again when a read is canceled
		n, err := interruptibly(ctx, func() (int, error) { return r.Read(own) })
		return copy(p, own[:n]), err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// errLogLost ends a worker whose log has no reader any more.
var errLogLost = errors.New("the log can't be written any more: its reader has ended")

// drainWithoutLog returns a context that is canceled when stderr turns out to be a pipe without a
// reader. Without it the kernel would end the process at once, in the middle of its calls.
func drainWithoutLog(ctx context.Context, stderr io.Writer) (context.Context, io.Writer) {
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, writerFunc(func(p []byte) (int, error) {
		n, err := stderr.Write(p)
		if errors.Is(err, syscall.EPIPE) {
			cancel(errLogLost)
		}
		return n, err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/wablock/wablock/cmd/wablock/internal/app"
	"github.com/wablock/wablock/config"
	"github.com/wablock/wablock/tasks"
)

// Exit codes, which scripts depend on.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPartly      = 3
	exitInterrupted = 130
)

// exitError makes a command end with a code. Without a text, everything was said already.
type exitError struct {
	code int
	text string
	err  error
}

func (e *exitError) Error() string {
	switch {
	case e.err == nil:
		return e.text
	case e.text == "":
		return e.err.Error()
	}
	return e.text + ": " + e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef returns an error in the command line or the configuration.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, text: fmt.Sprintf(format, args...)}
}

// partlyf returns an error that says what was left undone by a command that did the rest.
func partlyf(format string, args ...any) error {
	return &exitError{code: exitPartly, text: fmt.Sprintf(format, args...)}
}

// interruptedf returns an error that says what goes on although the command was interrupted.
func interruptedf(format string, args ...any) error {
	return &exitError{code: exitInterrupted, text: fmt.Sprintf(format, args...)}
}

// exitCode maps what a command returned. started tells errors of the command from those that
// the command line had before it.
func exitCode(ctx context.Context, err error, started bool) int {
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*app.ConfigError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*config.ValueError](err); ok || errors.Is(err, config.ErrUnset) || !started {
		return exitUsage
	}
	return exitFailed
}

// apiError adds what to do about an error of the API.
func apiError(err error, token config.Credential) error {
	if help := app.Advice(err, token); help != "" {
		return fmt.Errorf("%w. %s", err, help)
	}
	return err
}

// report prints what went wrong, one line an error.
func report(w io.Writer, err error) {
	if err == nil || err.Error() == "" {
		return
	}
	for line := range strings.Lines(err.Error()) {
		if line = plain(strings.TrimRight(line, "\n")); line != "" {
			_, _ = fmt.Fprintln(w, "wablock: "+line)
		}
	}
}

// jobError adds the next step to the error of a job that can't be shown.
func jobError(err error, id string) error {
	switch {
	case errors.Is(err, tasks.ErrJobLost):
		return &exitError{code: exitFailed, text: fmt.Sprintf("the record of job %s is lost, by a failover, or dropped beyond WABLOCK_MAX_JOBS; its tasks are there, and its numbers are carried out: `wablock status` says where each stands", id)}
	case errors.Is(err, tasks.ErrJobNotFound):
		return &exitError{code: exitFailed, text: fmt.Sprintf("no job %s is known for this phone number ID: it never was, or is no longer kept; `wablock jobs` lists those that are", id)}
	case errors.Is(err, tasks.ErrListGone):
		return &exitError{code: exitFailed, text: "the list of the job's numbers is no longer kept, its counts are: `wablock job` shows them; `wablock status` says where a number stands"}
	}
	return err
}

// packages are the prefixes of errors, which say where in the source an error came from.
var packages = map[string]bool{ //nolint:gochecknoglobals // a constant
	"audit": true, "pause": true, "protect": true,
	"client": true, "config": true, "deadletter": true, "ledger": true, "listing": true, "numbers": true, "plan": true, "ratelimit": true,
	"reconcile": true, "redislimit": true, "secret": true, "simulator": true, "source": true, "tasks": true, "user": true, "web": true, "worker": true,
}

// plain returns the text of an error for people: without names of packages, and each part once.
func plain(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, ": ") {
		if !packages[part] && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// unwritten adds to the error of an answer that could not be written what was done all the same.
func unwritten(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the answer could not be written: %w; "+format, append([]any{err}, args...)...)
}

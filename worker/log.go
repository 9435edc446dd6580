package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Keys of log attributes.
const (
	keyPhoneNumberID = "phone_number_id"
	keyQueue         = "queue"
	keyUsers         = "users"
	keyError         = "error"
	keyReason        = "reason"
	keyRepeated      = "repeated"
)

const (
	errorEvery  = time.Minute      // between two equal errors
	warnFirst   = 10               // equal warnings before they are collapsed
	warnEvery   = 15 * time.Minute // between them then
	maxMessages = 4096             // kinds of messages that are remembered
)

// collapsing is a slog.Handler that drops warnings and errors that repeat, since an outage of hours
// must not flood the log. Messages are equal when text and phone number ID are. The next one that
// passes carries how many were dropped.
type collapsing struct {
	slog.Handler
	phoneNumberID string
	seen          *seenMessages
}

type seenMessages struct {
	mu  sync.Mutex
	all map[string]*seenMessage
}

type seenMessage struct {
	rate.Sometimes
	dropped int
}

func collapse(h slog.Handler) slog.Handler {
	return collapsing{Handler: h, seen: &seenMessages{all: map[string]*seenMessage{}}}
}

// WithAttrs implements [slog.Handler].
func (h collapsing) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key == keyPhoneNumberID {
			h.phoneNumberID = a.Value.String()
		}
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h collapsing) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// Handle implements [slog.Handler].
func (h collapsing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	dropped, passes := h.seen.pass(h.phoneNumberID+" "+r.Message, r.Level)
	if !passes {
		return nil
	}
	if dropped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int(keyRepeated, dropped))
	}
	return h.Handler.Handle(ctx, r)
}

// pass reports whether a message is to be logged, and how many equal ones were not since the last.
func (s *seenMessages) pass(key string, level slog.Level) (dropped int, passes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.all[key]
	if m == nil {
		if len(s.all) >= maxMessages {
			clear(s.all)
		}
		m = &seenMessage{Sometimes: rate.Sometimes{First: 1, Interval: errorEvery}}
		if level < slog.LevelError {
			m.Sometimes = rate.Sometimes{First: warnFirst, Interval: warnEvery}
		}
		s.all[key] = m
	}
	m.Do(func() { passes = true })
	if !passes {
		m.dropped++
		return 0, false
	}
	dropped, m.dropped = m.dropped, 0
	return dropped, true
}

// asynqLogger passes asynq's own messages on to slog, under their first words, which messages have
// in common that differ only in what they name.
type asynqLogger struct{ log *slog.Logger }

func (l asynqLogger) Debug(args ...any) { l.say(slog.LevelDebug, args) }
func (l asynqLogger) Info(args ...any)  { l.say(slog.LevelDebug, args) }
func (l asynqLogger) Error(args ...any) { l.say(slog.LevelError, args) }
func (l asynqLogger) Fatal(args ...any) { l.say(slog.LevelError, args) }

// Warn leaves out that the janitor's batch is larger than asynq recommends: it is meant so.
func (l asynqLogger) Warn(args ...any) {
	if !strings.HasPrefix(fmt.Sprint(args...), "Janitor batch size") {
		l.say(slog.LevelWarn, args)
	}
}

func (l asynqLogger) say(level slog.Level, args []any) {
	text := fmt.Sprint(args...)
	words := strings.Fields(text)
	l.log.Log(context.Background(), level, "asynq: "+strings.Join(words[:min(3, len(words))], " "), keyReason, text) //nolint:sloglint // few kinds
}

package worker

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatedMessagesAreCollapsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(collapse(slog.NewTextHandler(&out, nil)))
		lines := func() int {
			n := strings.Count(out.String(), "\n")
			return n
		}
		one, other := log.With(keyPhoneNumberID, "1"), log.With(keyPhoneNumberID, "2")
		for range 100 {
			one.Error("Redis fails")
		}
		if lines() != 1 {
			t.Errorf("%d lines for one error", lines())
		}
		other.Error("Redis fails")
		if lines() != 2 {
			t.Error("another phone number ID's error was dropped")
		}
		<-time.After(errorEvery)
		one.Error("Redis fails")
		if !strings.Contains(out.String(), "repeated=99") {
			t.Errorf("the count of repeats is not shown: %s", out.String())
		}
		for range 50 {
			one.Info("call")
		}
		if lines() != 53 {
			t.Errorf("%d lines: what is no warning was dropped", lines())
		}
		for range 100 {
			one.Warn("call failed")
		}
		if lines() != 53+warnFirst {
			t.Errorf("%d lines with 100 warnings", lines())
		}
	})
}

func TestAsynqMessages(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := asynqLogger{slog.New(slog.NewTextHandler(&out, nil))}
	l.Warn("Janitor batch size of 1000 is greater than recommended")
	l.Debug("Scheduler starting")
	if out.Len() > 0 {
		t.Errorf("%s", out.String())
	}
	l.Error("Failed to write heartbeat ", errors.New("no connection"))
	if want := `level=ERROR msg="asynq: Failed to write" reason="Failed to write heartbeat no connection"`; !strings.Contains(out.String(), want) {
		t.Errorf("%s", out.String())
	}
}

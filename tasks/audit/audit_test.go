package audit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/audit"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

func TestRecordAndRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		alice, err := user.FromCanonical("+16505551234")
		if err != nil {
			t.Fatal(err)
		}
		record := func(e audit.Event) {
			t.Helper()
			if err := audit.Record(t.Context(), rdb, e); err != nil {
				t.Fatal(err)
			}
		}
		record(audit.Event{Action: audit.Pause, By: "ana@ops1", PhoneNumberID: "106540352242922", Reason: "wrong file"})
		record(audit.Event{Action: audit.Discard, Users: 1, User: alice, Detail: "of +1 650 555 1234\nand others"})
		record(audit.Event{Action: audit.Job, By: strings.Repeat("ä", 200), JobID: "spam-42", Reason: strings.Repeat("x", 10_000), Reference: "T-1, +1 650 555 1234"})

		got, err := audit.Read(t.Context(), rdb, time.Time{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		want := []audit.Event{
			{Action: audit.Job, By: strings.Repeat("ä", 100), JobID: "spam-42", Reason: strings.Repeat("x", audit.MaxReason), Reference: "T-1, …"},
			{Action: audit.Discard, Users: 1, MaskedUser: alice.String(), Detail: "of … and others"},
			{Action: audit.Pause, By: "ana@ops1", PhoneNumberID: "106540352242922", Reason: "wrong file"},
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(audit.Event{}, "At", "User")); d != "" {
			t.Error(d)
		}
		for _, e := range got {
			if age := time.Since(e.At); age < -time.Minute || age > time.Minute {
				t.Errorf("an event of %v ago", age)
			}
		}
		if got, err := audit.Read(t.Context(), rdb, time.Time{}, 2); err != nil || len(got) != 2 || got[0].Action != audit.Job {
			t.Errorf("the last two: %v, %v", got, err)
		}
		if got, err := audit.Read(t.Context(), rdb, time.Now().Add(time.Hour), 10); err != nil || len(got) != 0 {
			t.Errorf("since in an hour: %v, %v", got, err)
		}
	})
}

func TestReadPassesOverWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	for _, text := range []string{"{", "{}", `{"action":"pin"}`} {
		if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "wablock:audit", Values: []any{"event", text}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "wablock:audit", Values: []any{"other", "x"}}).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := audit.Read(t.Context(), rdb, time.Time{}, 10)
	if err != nil || len(got) != 1 || got[0].Action != audit.Pin {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestBounded holds the stream to its length, and reads it over several pages.
func TestBounded(t *testing.T) {
	t.Parallel()
	rdb := redistest.Real(t)
	for range 10 { // jobs push out no other events
		if err := audit.Record(t.Context(), rdb, audit.Event{Action: audit.Job}); err != nil {
			t.Fatal(err)
		}
	}
	if n := rdb.XLen(t.Context(), "wablock:audit:jobs").Val(); n != 10 {
		t.Errorf("%d jobs in a stream of their own", n)
	}
	pipe := rdb.Pipeline()
	for range audit.MaxEvents + 1000 {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "wablock:audit", Values: []any{"event", `{"action":"job"}`}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := audit.Record(canceled, rdb, audit.Event{Action: audit.Undo}); err != nil {
		t.Fatal(err)
	}
	if n := rdb.XLen(t.Context(), "wablock:audit").Val(); n > audit.MaxEvents+200 {
		t.Errorf("%d events are kept", n)
	}
	got, err := audit.Read(t.Context(), rdb, time.Time{}, 1200)
	if err != nil || len(got) != 1200 || got[0].Action != audit.Undo {
		t.Errorf("%d events, %v", len(got), err)
	}
}

func TestRecordWithoutRedis(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	mini.SetError("ERR down")
	if err := audit.Record(t.Context(), rdb, audit.Event{Action: audit.Pin}); err == nil || !strings.Contains(err.Error(), "audit: record pin") {
		t.Errorf("got %v", err)
	}
}

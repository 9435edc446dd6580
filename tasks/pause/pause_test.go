package pause_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

const phoneNumberID = "106540352242922"

func TestPause(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx := t.Context()
		l := ledger.New(rdb, phoneNumberID)
		for i, op := range []ledger.Operation{ledger.Block, ledger.Unblock} {
			u, err := user.FromCanonical("+1650555123" + string(rune('0'+i)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Mark(ctx, []ledger.Request{{User: u, Operation: op, Queue: ledger.Bulk, Version: ledger.Version(i + 1)}}); err != nil {
				t.Fatal(err)
			}
		}
		claims := 0
		claim := func() ledger.Claim {
			t.Helper()
			claims++
			c, err := l.Claim(ctx, ledger.ClaimOptions{ID: "c" + string(rune('a'+claims)), Max: 1, Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		if _, err := pause.Set(ctx, rdb, pause.Request{PhoneNumberID: phoneNumberID, Reason: "wrong file", RequestedBy: "ana"}); err != nil {
			t.Fatal(err)
		}
		if _, err := pause.Set(ctx, rdb, pause.Request{PhoneNumberID: "2", Reason: "another"}); err != nil {
			t.Fatal(err)
		}
		if c := claim(); len(c.Users) != 0 || c.Backlog.Waiting() != 2 {
			t.Errorf("paused: %+v", c)
		}
		if got, err := pause.Clear(ctx, rdb, phoneNumberID, ledger.Unblock); err != nil || len(got) != 1 {
			t.Errorf("resumed: %v, %v", got, err)
		}
		if c := claim(); len(c.Users) != 1 || c.Operation != ledger.Unblock {
			t.Errorf("unblocks resumed: %+v", c)
		}
		if _, err := pause.Set(ctx, rdb, pause.Request{Operation: ledger.Block, Reason: "all of them", For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		all, err := pause.Of(ctx, rdb, phoneNumberID)
		if err != nil || len(all) != 2 || all[0].PhoneNumberID != "" || all[0].Until.IsZero() || all[1].Reason != "wrong file" || all[1].RequestedBy != "ana" {
			t.Errorf("%+v, %v", all, err)
		}
		if _, ok := pause.Stops(all, phoneNumberID, ledger.Unblock); ok {
			t.Error("unblocks are stopped")
		}
		if p, ok := pause.Stops(all, "3", ledger.Block); !ok || !strings.Contains(p.String(), "wablock resume --all") {
			t.Errorf("%+v, %v", p, ok)
		}
		if got, err := pause.Clear(ctx, rdb, phoneNumberID, ""); err != nil || len(got) != 1 || got[0] != ledger.Block {
			t.Errorf("resumed: %v, %v", got, err)
		}
		if got, err := pause.Clear(ctx, rdb, phoneNumberID, ""); err != nil || len(got) != 0 {
			t.Errorf("resumed again: %v, %v", got, err)
		}
		if c := claim(); len(c.Users) != 1 || c.Operation != ledger.Block {
			t.Errorf("blocks resumed: %+v", c)
		}
	})
}

// TestPauseEnds: a pause with an end needs no one to resume it.
func TestPauseEnds(t *testing.T) {
	t.Parallel()
	mini, rdb := redistest.Mini(t)
	if _, err := pause.Set(t.Context(), rdb, pause.Request{Reason: "a minute", For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	mini.FastForward(time.Minute + time.Second)
	if all, err := pause.Of(t.Context(), rdb); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestPauseThatCannotBeRead: it holds all the same.
func TestPauseThatCannotBeRead(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	if err := rdb.Set(t.Context(), ledger.PauseKey("", ledger.Block), "?", 0).Err(); err != nil {
		t.Fatal(err)
	}
	all, err := pause.Of(t.Context(), rdb)
	if _, ok := pause.Stops(all, phoneNumberID, ledger.Block); err != nil || !ok {
		t.Errorf("%v, %v", all, err)
	}
}

func TestInvalidPauses(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	for name, r := range map[string]pause.Request{
		"no reason":          {},
		"blank reason":       {Reason: "  "},
		"long reason":        {Reason: strings.Repeat("x", 501)},
		"control characters": {Reason: "a\nb"},
		"long requester":     {Reason: "x", RequestedBy: strings.Repeat("x", 101)},
		"short":              {Reason: "x", For: time.Millisecond},
		"long":               {Reason: "x", For: 366 * 24 * time.Hour},
		"negative":           {Reason: "x", For: -time.Hour},
		"operation":          {Reason: "x", Operation: "list"},
		"phone number ID":    {Reason: "x", PhoneNumberID: "all"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pause.Set(t.Context(), rdb, r); !errors.Is(err, pause.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	if n := rdb.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

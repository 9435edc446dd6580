package tasks_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/heard"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestCodeWindow(t *testing.T) {
	t.Parallel()
	for _, r := range client.Rules() {
		if r.Code == tasks.CodeWindow && r.Name == "re-engagement required" && r.Remedy == client.DeadLetter {
			return
		}
	}
	t.Errorf("client/codes.go has no %d", tasks.CodeWindow)
}

// refuse lets a user's block fail for good with a code, and returns when.
func refuse(t *testing.T, f *fixture, code int, waID string, u user.ID, opts ...tasks.Option) time.Time {
	t.Helper()
	if _, err := f.Producer.Block(t.Context(), []string{u.Reveal()}, opts...); err != nil {
		t.Fatal(err)
	}
	return settleDead(t, f, code, waID)
}

// settleDead ends all that waits as refused.
func settleDead(t *testing.T, f *fixture, code int, waID string) time.Time {
	t.Helper()
	id := fmt.Sprintf("claim-%d", must(f.Ledger.NextVersion(t.Context()))(t))
	c := must(f.Ledger.Claim(t.Context(), ledger.ClaimOptions{ID: id, Max: 100, Timeout: time.Minute}))(t)
	if len(c.Users) == 0 {
		t.Fatal("no users wait")
	}
	for _, u := range c.Users {
		_ = must(f.Ledger.Settle(t.Context(), id, []ledger.Settlement{{
			User: u.User, Version: u.Version, Do: ledger.Kill, WaID: waID, Failure: &ledger.Failure{Code: code, Message: "m"},
		}}))(t)
	}
	return must(f.Redis.Time(t.Context()).Result())(t)
}

func state(t *testing.T, f *fixture, u user.ID) ledger.Entry {
	t.Helper()
	return must(f.Ledger.Entries(t.Context(), []user.ID{u}))(t)[0]
}

// hear notes events, and fails the test unless so many users are asked for again.
func hear(t *testing.T, f *fixture, revived int, events ...tasks.HeardEvent) {
	t.Helper()
	r := must(f.Producer.Heard(t.Context(), events...))(t)
	if want := (tasks.HeardReport{Accepted: len(events), Revived: revived, TooOld: r.TooOld}); !cmp.Equal(want, r) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

// TestHeardRevives: who wrote after 131047 is asked for again, once, in the queue interactive, for the reason of the
// first request.
func TestHeardRevives(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		u := num(1)
		at := refuse(t, f, tasks.CodeWindow, "", u, tasks.WithReason("spam"), tasks.WithReference("T-1"), tasks.WithQueue(tasks.Bulk))
		died := state(t, f, u).Version
		e := tasks.HeardEvent{User: u.Reveal(), At: at}
		hear(t, f, 1, e)
		hear(t, f, 0, e, e)
		got := must(f.Producer.Status(t.Context(), u.Reveal()))(t)
		if got.State != ledger.Waiting || got.Queue != tasks.Interactive || got.Version <= died || got.Operation != tasks.Block {
			t.Errorf("it is %v in %s at %d", got.State, got.Queue, got.Version)
		}
		if want := (ledger.Text{By: "heard", Reason: "spam", Reference: "T-1", Unparked: true}); got.Text != want {
			t.Errorf("asked for by %+v", got.Text)
		}
		if last := must(heard.Last(t.Context(), f.Redis, phoneNumberID, []ledger.Entry{got.Entry}))(t)[0]; last.UnixMilli() != at.UnixMilli() {
			t.Errorf("heard at %v, want %v", last, at)
		}
	})
}

// TestHeardLeaves: what brings no other try.
func TestHeardLeaves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for i, tt := range []struct {
			name string
			code int
			late time.Duration // the event's time behind the refusal
			then func(u user.ID)
			opts []tasks.Option
		}{
			{name: "an older message", code: tasks.CodeWindow, late: -time.Hour},
			{name: "another code", code: 131021},
			{name: "another request since", code: tasks.CodeWindow, then: func(u user.ID) { f.Mark(ledger.Unblock, u) }},
			{name: "discarded", code: tasks.CodeWindow, then: func(u user.ID) {
				_ = must(f.Ledger.Discard(t.Context(), u, state(t, f, u).Version))(t)
			}},
			{name: "a block that ends at once", code: tasks.CodeWindow, opts: []tasks.Option{tasks.WithExpiry(time.Now().Add(90 * time.Second))}},
		} {
			u := num(i)
			at := refuse(t, f, tt.code, "", u, tt.opts...)
			if tt.then != nil {
				tt.then(u)
			}
			before := state(t, f, u)
			r := must(f.Producer.Heard(t.Context(), tasks.HeardEvent{User: u.Reveal(), At: at.Add(tt.late)}))(t)
			if r.Revived != 0 || r.Accepted != 1 || !cmp.Equal(before, state(t, f, u), compareIDs) {
				t.Errorf("%s: %+v, and %v", tt.name, r, state(t, f, u).State)
			}
			f.Redis.FlushDB(t.Context())
		}
	})
}

// TestHeardNames: the person counts, by whichever name the event has.
func TestHeardNames(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for asked, e := range map[string]tasks.HeardEvent{
			"+16505551234":   {WaID: "16505551234"},
			"+5511987654321": {WaID: "551187654321"}, // Brazil's ninth digit
			"+525512345678":  {WaID: "5215512345678"},
			"US.4711":        {WaID: "16505551235", UserID: "US.4711"},
		} {
			u := must(user.Parse(asked))(t)
			e.At = refuse(t, f, tasks.CodeWindow, "", u)
			hear(t, f, 1, e)
			if s := state(t, f, u).State; s != ledger.Waiting {
				t.Errorf("%s is %v", asked, s)
			}
			if last := must(heard.Last(t.Context(), f.Redis, phoneNumberID, []ledger.Entry{state(t, f, u)}))(t)[0]; last.IsZero() {
				t.Errorf("%s was not heard", asked)
			}
			f.Redis.FlushDB(t.Context())
		}
	})
}

// TestHeardOncePerMinute: a second message puts the next try off, and further ones add none.
func TestHeardOncePerMinute(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		u := num(1)
		for range 2 {
			hear(t, f, 1, tasks.HeardEvent{User: u.Reveal(), At: refuse(t, f, tasks.CodeWindow, "", u)})
			f.Redis.FlushDB(t.Context())
		}
		hear(t, f, 1, tasks.HeardEvent{User: u.Reveal(), At: refuse(t, f, tasks.CodeWindow, "", u)})
		again := settleDead(t, f, tasks.CodeWindow, "")
		hear(t, f, 1, tasks.HeardEvent{User: u.Reveal(), At: again})
		hear(t, f, 0, tasks.HeardEvent{User: u.Reveal(), At: again})
		got := must(f.Producer.Status(t.Context(), u.Reveal()))(t)
		if got.State != ledger.Dead || len(got.Planned) != 1 || got.Planned[0].At.Sub(again) < heard.Every-2*time.Second {
			t.Errorf("it is %v with plans %v", got.State, got.Planned)
		}
	})
}

// TestHeardAfterADeath: a process that died when it had taken a user's turn, before it asked again, costs the user nothing: the
// event that is sent again waits for the end of that turn.
func TestHeardAfterADeath(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		for n, left := range []time.Duration{300 * time.Millisecond, time.Hour} { // the second since Redis's clock was set back
			u := num(n)
			at := refuse(t, f, tasks.CodeWindow, "", u)
			_ = must(heard.Take(t.Context(), f.Redis, phoneNumberID, []user.ID{u}))(t)
			ends := redis.Z{Score: float64(at.Add(left).UnixMilli()), Member: "t" + u.Reveal()}
			if err := f.Redis.ZAdd(t.Context(), "wablock:{"+phoneNumberID+"}:heard:turns", ends).Err(); err != nil {
				t.Fatal(err)
			}
			hear(t, f, 1, tasks.HeardEvent{User: u.Reveal(), At: at})
			if got := state(t, f, u); got.State != ledger.Waiting {
				t.Errorf("with %v left it is %v", left, got.State)
			}
		}
	})
}

// TestHeardAtOnce: of an event that several processes are told of at once one asks again.
func TestHeardAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		u := num(1)
		e := tasks.HeardEvent{User: u.Reveal(), At: refuse(t, f, tasks.CodeWindow, "", u)}
		var revived atomic.Int64
		var told sync.WaitGroup
		for range 8 {
			told.Go(func() {
				r, err := f.Producer.Heard(t.Context(), e)
				if err != nil {
					t.Error(err)
				}
				revived.Add(int64(r.Revived))
			})
		}
		told.Wait()
		if n := revived.Load(); n != 1 {
			t.Errorf("%d asked again", n)
		}
		if got := state(t, f, u); got.State != ledger.Waiting {
			t.Errorf("it is %v", got.State)
		}
	})
}

// TestHeardRejects: each wrong event with its reason, and the others go on.
func TestHeardRejects(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		now := must(f.Redis.Time(t.Context()).Result())(t)
		events := []struct {
			reason string
			tasks.HeardEvent
		}{
			{"names no user", tasks.HeardEvent{At: now}},
			{"no time", tasks.HeardEvent{User: num(1).Reveal()}},
			{"not after 1970", tasks.HeardEvent{User: num(1).Reveal(), At: time.Unix(-5, 0)}},
			{"five minutes ahead", tasks.HeardEvent{User: num(1).Reveal(), At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}},
			{"wa_id: ", tasks.HeardEvent{WaID: "1650555x234", At: now}},
			{"user_id: ", tasks.HeardEvent{UserID: "US.ENT.1", At: now}},
			{"user: ", tasks.HeardEvent{User: "12", At: now}},
			{"phone number ID", tasks.HeardEvent{PhoneNumberID: "x", User: num(1).Reveal(), At: now}},
			{"", tasks.HeardEvent{User: num(2).Reveal(), At: now.Add(-25 * time.Hour)}},
			{"", tasks.HeardEvent{User: num(3).Reveal(), At: now.Add(time.Minute)}},
		}
		all := make([]tasks.HeardEvent, len(events))
		for i, e := range events {
			all[i] = e.HeardEvent
		}
		got := must(f.Producer.Heard(t.Context(), all...))(t)
		if got.Accepted != 2 || got.TooOld != 1 || got.Revived != 0 || len(got.Rejected) != len(events)-2 {
			t.Fatalf("%+v", got)
		}
		for _, r := range got.Rejected {
			if want := events[r.Line-1].reason; want == "" || !strings.Contains(r.Reason, want) {
				t.Errorf("event %d: %q, want %q", r.Line, r.Reason, want)
			}
		}
	})
}

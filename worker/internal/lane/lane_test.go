package lane

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// budget is a Redis hook that lets a number of commands through, and fails those after them; a
// negative one lets all through.
type budget int

var errSpent = errors.New("no connection to Redis")

func (*budget) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *budget) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if *b == 0 {
			return errSpent
		}
		*b--
		return next(ctx, cmd)
	}
}

func (*budget) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestReleaseUnackedAgain: the users of a claim whose reply was lost are put back once Redis serves
// it, though it failed between finding them and putting them back.
func TestReleaseUnackedAgain(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	flaky := budget(-1)
	rdb.AddHook(&flaky)
	l := newLane(&Config{Redis: rdb, Logger: slog.New(slog.DiscardHandler), RequestTimeout: time.Minute}, PhoneNumber{ID: "1"}, true, nil, new(verdict.Breaker), "w")
	users, ctx := someUsers(t, 3), t.Context()
	requests := make([]ledger.Request, len(users))
	for i, u := range users {
		requests[i] = ledger.Request{User: u, Operation: ledger.Block, Queue: ledger.Bulk, Version: ledger.Version(i + 1)}
	}
	if _, err := l.ledger.Mark(ctx, requests); err != nil {
		t.Fatal(err)
	}
	l.claims.unacked = "lost"
	if c, err := l.ledger.Claim(ctx, ledger.ClaimOptions{ID: l.claims.unacked, Max: 10, Timeout: time.Minute}); err != nil || len(c.Users) != 3 {
		t.Fatal(c, err)
	}
	flaky = 1 // the claim is read again, and its users can't be put back
	if err := l.claims.releaseUnacked(ctx); !errors.Is(err, errSpent) {
		t.Errorf("releaseUnacked = %v, want %v", err, errSpent)
	}
	flaky = -1
	if err := l.claims.releaseUnacked(ctx); err != nil {
		t.Fatal(err)
	}
	if c, err := l.ledger.Claim(ctx, ledger.ClaimOptions{ID: "next", Max: 10, Timeout: time.Minute}); err != nil || len(c.Users) != 3 {
		t.Errorf("%d users can be claimed, want 3: %v", len(c.Users), err)
	}
}

func TestComeAgain(t *testing.T) {
	t.Parallel()
	running, full := verdict.Status{State: verdict.Running}, verdict.Status{State: verdict.Full, Wait: 2 * time.Second}
	due := func(d time.Duration) ledger.Claim { return ledger.Claim{Backlog: ledger.Backlog{NextDue: d}} }
	resting := due(time.Second)
	resting.Resting, resting.Backlog.Bulk = 2, 1
	fresh := ratelimit.Grant{FreshOnly: true, RetryIn: 500 * time.Millisecond}
	for name, c := range map[string]struct {
		claim ledger.Claim
		grant ratelimit.Grant
		lane  verdict.Status
		want  time.Duration
	}{
		"none waits":                         {claim: due(-1), lane: running, want: idlePoll},
		"a retry is due later":               {claim: due(time.Second), lane: running, want: time.Second},
		"a retry is due now":                 {claim: due(0), lane: running, want: time.Millisecond},
		"a retry is due much later":          {claim: due(time.Hour), lane: running, want: idlePoll},
		"others stand behind those who rest": {claim: resting, grant: fresh, lane: running, want: time.Millisecond},
		"the budget of retries is spent":     {claim: due(time.Millisecond), grant: fresh, lane: running, want: 500 * time.Millisecond},
		"the list is full":                   {claim: due(-1), lane: full, want: 2 * time.Second},
		"the list is full, and a retry due":  {claim: due(time.Second), lane: full, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := comeAgain(c.claim, c.grant, c.lane); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

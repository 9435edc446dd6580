package lane

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// TestAccountLimitIsOfWhichNumber: a limit for the account is a phone number ID's own once others were served since it was
// limited so first.
func TestAccountLimitIsOfWhichNumber(t *testing.T) {
	t.Parallel()
	limit, served, list := ratelimit.Observation{Users: 1, Limited: true, Account: true}, ratelimit.Observation{Users: 1, Served: true}, ratelimit.Observation{Served: true}
	type call struct {
		id string
		o  ratelimit.Observation
	}
	for name, c := range map[string]struct {
		before []call
		own    bool
	}{
		"the first":                         {},
		"another was served before":         {before: []call{{"b", served}}},
		"another was served since":          {before: []call{{"a", limit}, {"b", served}}, own: true},
		"only itself":                       {before: []call{{"a", limit}, {"a", served}}},
		"another, then itself":              {before: []call{{"a", limit}, {"b", served}, {"a", served}}},
		"another, then itself, and again":   {before: []call{{"a", limit}, {"b", served}, {"a", served}, {"a", limit}}},
		"others too, and none served":       {before: []call{{"a", limit}, {"b", limit}}},
		"long ago, another served since":    {before: []call{{"a", limit}, {"b", served}, {"a", limit}, {"a", limit}}, own: true},
		"another by turns with it":          {before: []call{{"b", served}, {"a", served}, {"a", limit}, {"b", served}}, own: true},
		"a list call of its own is no sign": {before: []call{{"a", limit}, {"a", list}, {"b", served}}, own: true},
		"nor is another's":                  {before: []call{{"a", limit}, {"b", list}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, now := new(account), time.Unix(1_000_000, 0)
			for _, b := range c.before {
				a.attribute(b.id, b.o, now)
				now = now.Add(time.Second)
			}
			if o := a.attribute("a", limit, now); o.Account == c.own || !o.Limited {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestALimitIsCountedAsItIsAttributed: metrics and limiter are told of the same limit.
func TestALimitIsCountedAsItIsAttributed(t *testing.T) {
	t.Parallel()
	told := &limitsTold{}
	limit := verdict.Verdict{Observation: ratelimit.Observation{Users: 1, Limited: true, Account: true}}
	a := new(account)
	own := tokens{limiter: told, key: ratelimit.Key{PhoneNumberID: "a", Account: "x"}, account: a, metrics: told, log: slog.New(slog.DiscardHandler)}
	own.report(t.Context(), ratelimit.Grant{}, limit)
	a.attribute("b", ratelimit.Observation{Users: 1, Served: true}, time.Now())
	own.report(t.Context(), ratelimit.Grant{}, limit)
	if want := []string{"account", "phone number"}; !slices.Equal(told.scopes, want) || told.last.Account {
		t.Errorf("metrics were told of %v, want %v; the limiter of %+v", told.scopes, want, told.last)
	}
}

// limitsTold notes what a limiter and metrics are told of limits.
type limitsTold struct {
	ratelimit.Limiter
	Metrics
	scopes []string
	last   ratelimit.Observation
}

func (l *limitsTold) RateLimitHit(_, scope string) { l.scopes = append(l.scopes, scope) }

func (l *limitsTold) Report(_ context.Context, _ ratelimit.Key, _ ratelimit.Grant, o ratelimit.Observation) error {
	l.last = o
	return nil
}

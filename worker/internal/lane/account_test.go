package lane

import (
	"testing"
	"time"

	"github.com/wablock/wablock/ratelimit"
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
				a.read(b.id, b.o, now)
				now = now.Add(time.Second)
			}
			if o := a.read("a", limit, now); o.Account == c.own || !o.Limited {
				t.Errorf("%+v", o)
			}
		})
	}
}

package ledger_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/user"
)

func TestRestingFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		f.mark(ledger.Block, ledger.Bulk, f.version(), num(t, 1), num(t, 2))
		c := f.claim(1, "")
		for i := range c.Users {
			u := c.Users[i]
			if _, err := f.Settle(t.Context(), c.ID, []ledger.Settlement{
				{User: u.User, Version: u.Version, Do: ledger.Retry, Delay: time.Minute},
			}); err != nil {
				t.Fatal(err)
			}
		}
		rest := func(users ...user.ID) time.Duration {
			t.Helper()
			d, err := f.RestingFor(t.Context(), users)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := rest(num(t, 1)); d < 50*time.Second || d > 62*time.Second {
			t.Errorf("a user that rests for a minute: %v", d)
		}
		if d := rest(num(t, 1), num(t, 2)); d != 0 {
			t.Errorf("with one that waits in line: %v", d)
		}
		if d := rest(); d != 0 {
			t.Errorf("none: %v", d)
		}
	})
}

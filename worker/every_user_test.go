package worker_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
)

// nameAll answers a call with each of its users in failed_users, with such a code.
func nameAll(c *oddCall, n int) {
	l := []any{}
	for _, u := range c.users {
		l = append(l, map[string]any{"input": u, "errors": code(n)})
	}
	c.send(oddAnswer{400, map[string]any{"error": map[string]any{"code": 139100, "message": "m"}, "block_users": map[string]any{"failed_users": l}}})
}

// TestEveryUserIsRefused: for three minutes each answer names all users of its call as failed, with codes that are no
// user's. It is a refused token or a limit that is told user by user: none is dead-lettered.
func TestEveryUserIsRefused(t *testing.T) {
	t.Parallel()
	codes := []int{190, 130429}
	for _, n := range codes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{Journal: briefJournal}, func(t *testing.T, b *bubble) {
				var odd atomic.Bool
				api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
					if odd.Load() {
						nameAll(c, n)
					}
					return odd.Load()
				}}
				b.world.options = []client.Option{client.WithTransport(inProcess{api})}
				b.cfg.MaxAttempts, b.cfg.Logger = 3, nil
				w, stop := b.runReady()
				defer stop()
				if !b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(1000, 3)...), time.Minute) {
					return
				}
				odd.Store(true)
				job := b.enqueue(ledger.Block, numbersFrom(0, 100)...)
				for i := range 30 {
					b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
					<-time.After(6 * time.Second)
				}
				t.Logf("%d calls, ready: %v", api.calls(), w.Ready(t.Context()))
				if n := b.deadLetters(); n > 0 {
					t.Errorf("%d dead letters", n)
				}
				if w.Ready(t.Context()) == nil && n != 130429 {
					t.Error("the worker is ready")
				}
				odd.Store(false)
				if n != 130429 { // after so many limits the pace grows from its lowest: the law of the rate has tests of its own
					b.succeedWithin(job, 2*time.Minute) // the last are those of the trials
				}
			})
		})
	}
}

// TestOneUserNamesItsCompany: answers to calls with one user name all of their users as failed, which proves nothing about
// each. The others part from it, and none is dead-lettered.
func TestOneUserNamesItsCompany(t *testing.T) {
	t.Parallel()
	codes, most := []int{190, 130429, 80007}, []int{3, 12}
	if redistest.Rounds(t, 1, 2) == 1 {
		codes, most = codes[:2], most[:1]
	}
	for _, n := range codes {
		for _, attempts := range most {
			t.Run(fmt.Sprintf("%d/%d", n, attempts), func(t *testing.T) {
				t.Parallel()
				inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
					api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
						if c.has(oddUser) {
							nameAll(c, n)
						}
						return c.has(oddUser)
					}}
					b.world.options = []client.Option{client.WithTransport(inProcess{api})}
					b.cfg.MaxAttempts, b.cfg.Logger = attempts, nil
					defer b.run()()
					job := b.enqueue(ledger.Block, slices.Concat(numbersFrom(0, 200), []string{oddUser})...)
					for i := range redistest.Rounds(t, 60, 120) {
						b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i))
						<-time.After(500 * time.Millisecond)
					}
					<-time.After(2 * time.Minute)
					p, err := b.producer.Progress(t.Context(), phoneNumberID, job.Version, job.Users)
					t.Logf("%+v, %v, %d dead letters, the odd user %v, %d calls", p, err, b.deadLetters(), b.entry(oddUser).State, api.calls())
					if b.deadLetters() > 1 || p.Succeeded != 200 {
						t.Error("one user took others with it")
					}
				})
			})
		}
	}
}

// TestAllButOneAreRefused: each answer serves the first user of its call, and names the others as refused with 190, as of a
// token that ends halfway. Before its last attempt is used up each is called by itself.
func TestAllButOneAreRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
			a := c.pass()
			var refused []any
			for _, u := range c.users[1:] {
				refused = append(refused, map[string]any{"input": u, "errors": code(190)})
			}
			a.setList("added_users", a.list("added_users")[:1])
			a.setList("failed_users", refused)
			c.send(a)
			return true
		}}
		b.world.options = []client.Option{client.WithTransport(inProcess{api})}
		b.cfg.MaxAttempts, b.cfg.Logger = 3, nil
		defer b.run()()
		b.succeedWithin(b.enqueue(ledger.Block, numbersFrom(0, 50)...), time.Minute)
		if n := b.deadLetters(); n > 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestOneNameForAll: an answer tells one WhatsApp ID for all users of its call. They stay the persons that they are.
func TestOneNameForAll(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
		api := &oddAPI{sim: b.sim, answer: func(c *oddCall) bool {
			a := c.pass()
			for _, list := range []string{"added_users", "removed_users"} {
				for _, e := range a.list(list) {
					if m, ok := e.(map[string]any); ok {
						m["wa_id"] = "16505550000"
					}
				}
			}
			c.send(a)
			return true
		}}
		b.world.options = []client.Option{client.WithTransport(inProcess{api})}
		b.cfg.Logger = nil
		defer b.run()()
		users := numbersFrom(0, 20)
		b.succeedWithin(b.enqueue(ledger.Block, users...), time.Minute)
		<-time.After(time.Second) // names are learnt after users are settled
		b.succeedWithin(b.enqueue(ledger.Unblock, users[5:12]...), time.Minute)
		if d := cmp.Diff(sorted(waIDs(slices.Concat(users[:5], users[12:]))), sorted(b.sim.Snapshot(phoneNumberID))); d != "" {
			t.Errorf("the wrong persons were unblocked: %s", d)
		}
	})
}

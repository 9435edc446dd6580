package worker_test

import (
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/pause"
)

// TestDelayedUnderCanceled: a delayed block of two users comes due while a newer unblock of one of them waits, which is
// canceled then. The block goes on, whether its task is carried on or taken up again, and counts each user once.
func TestDelayedUnderCanceled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ again, newer, alone bool }{
		"alone":                 {alone: true},
		"as it is":              {},
		"a newer block follows": {newer: true},
		"another worker":        {again: true},
		"another worker, and a newer block follows": {again: true, newer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Scenario{}, func(t *testing.T, b *bubble) {
				b.cfg.Logger = nil
				stop := b.run()
				defer func() { stop() }()
				one, two := "+16505550001", "+16505550002"
				delayed := []string{one, two}
				if tc.alone {
					delayed = delayed[:1]
				}
				if _, err := b.producer.Block(t.Context(), delayed, tasks.WithJobID("delayed"), tasks.WithDelay(5*time.Second)); err != nil {
					t.Fatal(err)
				}
				<-time.After(4 * time.Second)
				if _, err := pause.Set(t.Context(), b.rdb, pause.Request{PhoneNumberID: phoneNumberID, Reason: "x", For: 20 * time.Second}); err != nil {
					t.Fatal(err)
				}
				if _, err := b.producer.Unblock(t.Context(), []string{one}, tasks.WithJobID("newer")); err != nil {
					t.Fatal(err)
				}
				<-time.After(3 * time.Second) // the delayed one is due
				if _, err := b.producer.Cancel(t.Context(), "newer", false); err != nil {
					t.Fatal(err)
				}
				if tc.again {
					stop()
					stop = b.run()
				}
				<-time.After(3 * time.Second)
				if tc.newer {
					b.enqueue(ledger.Block, one)
				}
				<-time.After(3 * time.Minute)
				s, err := b.producer.Job(t.Context(), "delayed")
				if err != nil || !s.Done() || s.Succeeded+s.DeadLettered+s.Superseded+s.Canceled != s.Accepted {
					t.Errorf("%d succeeded, %d superseded, %d pending of %d, %v", s.Succeeded, s.Superseded, s.Pending, s.Accepted, err)
				}
				if n := len(b.sim.Snapshot(phoneNumberID)); n != len(delayed) {
					t.Errorf("%d of %d users are blocked; %+v", n, len(delayed), s)
				}
			})
		})
	}
}

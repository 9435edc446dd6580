package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
)

// succeedWithin waits until all of a job's users have succeeded.
func (b *bubble) succeedWithin(job tasks.Job, d time.Duration) bool {
	b.t.Helper()
	poll := max(100*time.Millisecond, time.Duration(len(job.Users))*time.Millisecond) // reading all of them takes a while
	for start := time.Now(); ; <-time.After(poll) {
		p, err := b.producer.Progress(b.t.Context(), job.PhoneNumberID, job.Version, job.Users)
		if err != nil {
			b.t.Fatal(err)
		}
		if p.Succeeded == len(job.Users) {
			if len(job.Users) > 1 {
				b.t.Logf("the others: %v, %d calls", time.Since(start), len(b.sim.Journal()))
			}
			return true
		}
		if time.Since(start) > d {
			b.t.Errorf("not done after %v: %+v, %d calls", d, p, len(b.sim.Journal()))
			return false
		}
	}
}

// TestOneUserStopsNoOther: whatever the calls of one user return, the others' go on within
// seconds, and the user is dead-lettered after its attempts.
func TestOneUserStopsNoOther(t *testing.T) {
	t.Parallel()
	const bad = "+16505559999"
	faults := map[string]simulator.Fault{
		"reset": {Effect: simulator.EffectReset},
		"hang":  {Effect: simulator.EffectHang},
		"502":   {Effect: simulator.EffectHTML},
	}
	codes := []int{131000, 10, 130429, 0, 1, 2, 190, 80007, 139102, 139103, 777777}
	for _, code := range codes[:redistest.Rounds(t, 3, len(codes))] {
		faults[fmt.Sprintf("call %d", code)] = simulator.Fault{Effect: simulator.EffectFail, Code: code}
		faults[fmt.Sprintf("user %d", code)] = simulator.Fault{Effect: simulator.EffectFailUser, Code: code}
	}
	for name, f := range faults {
		f.Users = []string{bad}
		limit := f.Code == 130429 || f.Code == 80007
		for order, together := range map[string]bool{"before": false, "together": true} {
			t.Run(name+"/"+order, func(t *testing.T) {
				t.Parallel()
				inBubble(t, simulator.Scenario{Faults: []simulator.Fault{f}}, func(t *testing.T, b *bubble) {
					b.cfg.MaxAttempts, b.cfg.RequestTimeout, b.cfg.Logger = 3, 5*time.Second, nil
					stop := b.run()
					first := b.enqueue(ledger.Block, bad)
					if !together {
						<-time.After(30 * time.Second) // it is alone, and gets nowhere
					}
					job := b.enqueue(ledger.Block, numbersFrom(0, 500)...)
					within := 10 * time.Second
					if together {
						within = 2 * time.Minute // some are in its calls
					}
					defer stop()
					if !b.succeedWithin(job, within) {
						return
					}
					for i := range 60 {
						p, err := b.producer.Progress(t.Context(), phoneNumberID, first.Version, first.Users)
						if err != nil {
							t.Fatal(err)
						}
						if p.DeadLettered == 1 {
							t.Logf("dead after %d calls", len(b.sim.Journal()))
							if e := b.entry(bad); e.Attempts != 3 {
								t.Errorf("dead after %d attempts", e.Attempts)
							}
							return
						}
						// Nothing tells the user's limit from the pace but calls of others.
						if limit && !b.succeedWithin(b.enqueue(ledger.Block, fmt.Sprintf("+1650556%04d", i)), 2*time.Minute) {
							return
						}
						<-time.After(20 * time.Second)
					}
					t.Errorf("it never ended: %+v, %d calls", b.entry(bad), len(b.sim.Journal()))
				})
			})
		}
	}
}

// TestLimitedUserAloneCutsNoPace lets the only user be limited whatever happens, while nothing else is
// called. Single jobs that come after it, one by one, are done in seconds all the same, those of
// other phone number IDs of the account too.
func TestLimitedUserAloneCutsNoPace(t *testing.T) {
	t.Parallel()
	const bad, other = "+16505559999", "106540352242923"
	faults := []simulator.Fault{
		{Effect: simulator.EffectFail, Code: 130429},
		{Effect: simulator.EffectFail, Code: 80007},
		{Effect: simulator.EffectFailUser, Code: 130429},
		{Effect: simulator.EffectFailUser, Code: 80007},
	}
	for _, f := range faults[:redistest.Rounds(t, 2, len(faults))] {
		t.Run(fmt.Sprintf("%s %d", f.Effect, f.Code), func(t *testing.T) {
			t.Parallel()
			f.Users, f.PhoneNumberIDs = []string{bad}, []string{phoneNumberID}
			inBubble(t, simulator.Scenario{Faults: []simulator.Fault{f}}, func(t *testing.T, b *bubble) {
				b.cfg.MaxAttempts, b.cfg.Logger = 4, nil
				b.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
					n, ok := b.resolve(id)
					n.Account = "102290129340398"
					return n, ok
				}
				defer b.run()()
				b.enqueue(ledger.Block, bad)
				<-time.After(2 * time.Minute)
				for i := range 5 {
					b.succeedWithin(b.enqueue(ledger.Block, fmt.Sprintf("+1650555%04d", i)), 5*time.Second)
					job, err := b.producer.Block(t.Context(), numbersFrom(i, 1), tasks.WithPhoneNumberID(other))
					if err != nil {
						t.Fatal(err)
					}
					b.succeedWithin(job, 5*time.Second)
				}
			})
		})
	}
}

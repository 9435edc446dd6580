package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
)

// takeOver keeps this worker's heartbeat, and takes over the users of workers whose heartbeats are missing: they wait
// in line again at once, where they would be held until their claims' deadlines, and the limiter's probe that is theirs is no
// longer waited for. A worker that is still alive has lost these claims, and others repeat its calls in flight: both operations
// are idempotent.
type takeOver struct {
	redis redis.UniversalClient
	pulse *fleet.Pulse
	// probes gives up the probe that a worker holds for a phone number ID.
	probes func(ctx context.Context, worker, phoneNumberID string) error
	log    *slog.Logger
	done   map[string]bool // workers that were seen to, and are still silent
	// lapses, which has room for one, is told when what was written in several commands may be half done: Redis failed, or has
	// lost what was written last, or a worker has died.
	lapses chan<- struct{}
}

// run beats until ctx ends.
func (t *takeOver) run(ctx context.Context) {
	var pass sync.WaitGroup // beats go on while one is under way
	defer pass.Wait()
	idle := make(chan struct{}, 1)
	idle <- struct{}{}
	failing := false
	for ; ctx.Err() == nil; sleep(ctx, fleet.PulseEvery) {
		silent, err := t.pulse.Beat(ctx, time.Now())
		if err != nil && ctx.Err() == nil && !failing {
			t.log.Warn("worker: its heartbeat fails; other workers may repeat its calls, and it takes over none of theirs", keyError, err.Error())
		}
		failing = err != nil
		if !failing && t.pulse.Lapsed() {
			t.lapse()
		}
		select {
		case <-idle:
			pass.Go(func() {
				t.pass(ctx, silent)
				idle <- struct{}{}
			})
		default: // it is tried again with the next beat
		}
	}
}

// pass sees to each of the silent once, or again until that has succeeded.
func (t *takeOver) pass(ctx context.Context, silent []string) {
	done := map[string]bool{}
	for _, id := range silent {
		if done[id] = t.done[id] || t.of(ctx, id); done[id] && !t.done[id] {
			t.lapse()
		}
	}
	t.done = done
}

func (t *takeOver) lapse() {
	select {
	case t.lapses <- struct{}{}:
	default: // there is one already
	}
}

// of takes over the users of one worker, and wakes the lanes of their phone number IDs, whichever worker has a token.
// It reports whether all of it is done.
func (t *takeOver) of(ctx context.Context, worker string) bool {
	numbers, err := fleet.ServedBy(ctx, t.redis, worker)
	rand.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] }) // others do the same
	for _, id := range numbers {
		if err != nil {
			break
		}
		if err = t.probes(ctx, worker, id); err != nil {
			break
		}
		var n int
		if n, err = ledger.New(t.redis, id).TakeOver(ctx, worker+"-"); err == nil && n > 0 {
			t.log.Info("worker: the heartbeat of another worker is missing; its users are called for again",
				keyPhoneNumberID, id, "worker_id", worker, "users", n)
			err = t.redis.Publish(ctx, ledger.WakeChannel, id).Err()
		}
	}
	if err != nil && ctx.Err() == nil {
		t.log.Error("worker: users of another worker could not be taken over; it is tried again", keyError, err.Error())
	}
	return err == nil
}

package worker_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/ratelimit"
	"github.com/wablock/wablock/ratelimit/redislimit"
	"github.com/wablock/wablock/tasks/fleet"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/waiting"
	"github.com/wablock/wablock/worker"
)

// TestPlantedCausesAreNamed: a user waits in a running worker for each cause, and its status and its job's name it.
func TestPlantedCausesAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario simulator.Scenario
		settings ratelimit.Settings
		pin      float64
		cause    waiting.Cause
	}{
		"token refused": {scenario: simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 190}}}, cause: waiting.Halted},
		"outage":        {scenario: simulator.Scenario{Faults: []simulator.Fault{{Effect: simulator.EffectFail, Code: 2, Status: 503}}}, cause: waiting.Outage},
		"list full":     {scenario: simulator.Scenario{Blocking: simulator.Blocking{Capacity: 1}}, cause: waiting.ListFull},
		"pinned":        {pin: 0.01, cause: waiting.RateLimit},
		"low rate":      {settings: ratelimit.Settings{Rate: 0.01, Burst: 1, MaxUsers: 2}, cause: waiting.RateLimit},
		"API's limit":   {scenario: simulator.Scenario{Limits: []simulator.Limit{{Calls: 1}}}, settings: ratelimit.Settings{MaxUsers: 2}, cause: waiting.RateLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, rdb redis.UniversalClient) {
				w := newWorld(t, rdb, c.scenario)
				limiter := redislimit.New(rdb, func(string) ratelimit.Settings { return c.settings })
				if c.pin > 0 {
					if _, err := limiter.Pin(t.Context(), phoneNumberID, c.pin); err != nil {
						t.Fatal(err)
					}
				}
				w.cfg.Limiter = limiter
				wk, err := worker.New(w.cfg)
				if err != nil {
					t.Fatal(err)
				}
				w.start(wk)
				member := fleet.NewMember(rdb, fleet.Worker{Machine: "m", PID: 1}, slog.New(slog.DiscardHandler))
				member.Show(wk.Lanes)
				i := 0
				w.eventually(name+" is named", func() bool {
					if err := member.Beat(t.Context()); err != nil {
						t.Fatal(err)
					}
					i += 3 // of which more than one call's wait, whatever has gone
					job := w.enqueue(ledger.Block, fmt.Sprintf("+1650555%04d", i), fmt.Sprintf("+1650555%04d", i+1), fmt.Sprintf("+1650555%04d", i+2))
					s, err := w.producer.Status(t.Context(), job.Users[2].Reveal())
					if err != nil {
						t.Fatal(err)
					}
					j, err := w.producer.Job(t.Context(), job.ID)
					if err != nil {
						t.Fatal(err)
					}
					return s.WaitingFor == c.cause && j.WaitingFor == c.cause
				})
			})
		})
	}
}

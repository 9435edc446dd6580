package acceptance

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/cmd/wablock/acceptance/history"
	"github.com/wablock/wablock/tasks/redistest"
)

// What a chaos run is made of. The request timeout is short, so that claims of 10 s expire
// within a run.
const (
	chaosWorkers   = 3
	chaosProducers = 3
	chaosUsers     = 80   // of each producer, chosen by requests of up to four
	chaosBulk      = 1300 // further users of each producer, blocked and unblocked by jobs of two tasks
	chaosTimeout   = 5 * time.Second
	chaosClaim     = chaosTimeout + 5*time.Second
	chaosSettle    = 100 * time.Second
)

// TestChaos runs workers and producers while processes are killed and stopped, Redis is killed
// and started again, at times without what it wrote last, calls arrive late, connections are cut, held and robbed of replies, and the API is down,
// slow and resets what it has done. Then the faults end, and the history is checked.
//
// It is the same run for the same seed, as far as the machine allows:
//
//	WABLOCK_CHAOS_SECONDS=1800 WABLOCK_CHAOS_SEED=7 go test -run 'TestChaos$' -timeout 1h -v ./cmd/wablock/acceptance
func TestChaos(t *testing.T) {
	t.Parallel()
	seed, seconds := envInt(t, "WABLOCK_CHAOS_SEED", 20261122), envInt(t, "WABLOCK_CHAOS_SECONDS", redistest.Rounds(t, 20, 40))
	c := newChaos(t, uint64(seed))
	writers := newWriters(c, uint64(seed), seconds)
	writers.start()
	c.run(time.Duration(seconds) * time.Second)
	writers.end()
	c.calm()
	writers.check()
	report := history.Check(c.history())
	t.Logf("seed %d, %d s: %s", seed, seconds, c.tally)
	t.Logf("%d requests for %d users: %d accepted, %d of them lost with Redis's last second, %d ambiguous; %d API calls; %d dead letters; explained by stopped clocks: %d; settled after %v",
		report.Requests, report.Users, report.Accepted, report.Lost, report.Ambiguous, report.Calls, report.Dead, len(report.Explained), c.settled.Round(time.Second))
	t.Logf("requests given up: %v; jobs repeated while they ran: %d", c.notes.failed, len(c.notes.repeats))
	for i, p := range report.Problems {
		if i == 10 {
			t.Errorf("… and %d more", len(report.Problems)-i)
			break
		}
		t.Errorf("%v\n%s", p, c.story(p.User))
	}
	if report.Accepted < 200 || report.Calls < 50 || report.Dead == 0 {
		t.Error("too little happened for the run to prove anything")
	}
	c.repeatsKeepTheirVersion()
	c.noPanics()
}

func envInt(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number from 1 up", name, text)
	}
	return n
}

// chaosScenario is the API as it is between the faults of the run: it has a limit, and resets,
// garbles and fails some calls and users.
func chaosScenario(down bool) simulator.Scenario {
	writes := []simulator.Operation{simulator.Block, simulator.Unblock}
	sc := simulator.Scenario{
		AppSecret: appSecret,
		Latency:   simulator.Latency{Base: simulator.Duration(10 * time.Millisecond), Jitter: simulator.Duration(40 * time.Millisecond)},
		Limits:    []simulator.Limit{{Rate: 60, Burst: 20}},
		Faults: []simulator.Fault{
			{Effect: simulator.EffectReset, Applied: true, Probability: 0.03, Operations: writes},
			{Effect: simulator.EffectReset, Probability: 0.01, Operations: writes},
			{Effect: simulator.EffectTruncated, Probability: 0.01, Operations: writes},
			{Effect: simulator.EffectHTML, Probability: 0.01, Operations: writes},
			{Effect: simulator.EffectFail, Code: 139103, Probability: 0.01, Operations: writes},
			{Effect: simulator.EffectFailUser, Code: 139103, Probability: 0.005},
			{Effect: simulator.EffectOmitUser, Applied: true, Probability: 0.005},
		},
		Listing: simulator.Listing{MaxLimit: 1000},
		Journal: simulator.JournalLimits{Calls: 2_000_000, Users: 50_000_000},
	}
	for p := range chaosProducers {
		for n := chaosFirst(p); n < chaosFirst(p)+chaosUsers; n += 10 {
			sc.Users = append(sc.Users, simulator.User{User: chaosNumber(n), Silent: true})
		}
	}
	sc.Users = append(sc.Users, writerUsers()...)
	if down {
		sc.Faults = append([]simulator.Fault{{Name: "down", Effect: simulator.EffectHTML, Status: 503}}, sc.Faults...)
	}
	return sc
}

// chaosFirst is the number of producer p's first user; its bulk users come after the others.
func chaosFirst(p int) int { return 1 + p*10_000 }

func chaosNumber(n int) string { return fmt.Sprintf("+1650%07d", 2000000+n) }

// chaosPhone is the phone number ID that producer p asks for.
func chaosPhone(p int) string { return []string{phoneNumberID, "106540352242923"}[p%2] }

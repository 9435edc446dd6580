package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client"
	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/worker"
	"github.com/wablock/wablock/worker/internal/lane"
	"github.com/wablock/wablock/worker/internal/verdict"
)

// A worker is ready while a configured phone number ID can work, and names all that can't: one that
// only a producer named, and that the API refuses, leaves it ready.
func TestReadyWhileOneNumberCanWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		configured, refused []string
		ready               bool
	}{
		"none refused":               {[]string{"1", "2"}, nil, true},
		"one of two":                 {[]string{"1", "2"}, []string{"1"}, true},
		"both":                       {[]string{"1", "2"}, []string{"1", "2"}, false},
		"two that producers name":    {[]string{"1"}, []string{"8", "9"}, true},
		"none configured, none work": {nil, []string{"1", "2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rdb := redistest.Mini(t)
			sc := simulator.Scenario{}
			if len(c.refused) > 0 {
				sc.Faults = []simulator.Fault{{Effect: simulator.EffectFail, Code: 190, PhoneNumberIDs: c.refused}}
			}
			w := newWorld(t, rdb, sc)
			w.cfg.Configured = c.configured
			w.cfg.Resolve = func(id string) (worker.PhoneNumber, bool) {
				api, err := client.New(w.url, "v25.0", w.token)
				return worker.PhoneNumber{ID: id, API: api, Token: w.token, Listed: true, Advice: adviceOf(id)}, err == nil
			}
			wk, err := worker.New(w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- wk.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			for i, id := range slices.Compact(slices.Sorted(slices.Values(append([]string{"1", "2"}, c.refused...)))) {
				p, err := tasks.NewProducer(rdb, tasks.ProducerConfig{PhoneNumberID: id})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Block(ctx, []string{fmt.Sprintf("+1650555%04d", i)}); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for _, id := range c.refused {
				want = append(want, fmt.Sprintf("the API refuses phone number ID %s: access token expired or invalid. Renew token-%s", id, id))
			}
			w.eventually("the refused ones are named", func() bool { return cmp.Equal(want, wk.Problems()) })
			err = wk.Ready(ctx)
			if (err == nil) != c.ready {
				t.Errorf("Ready = %v", err)
			}
			for _, p := range want {
				if err != nil && !strings.Contains(err.Error(), p) {
					t.Errorf("Ready = %v, without %q", err, p)
				}
			}
		})
	}
}

// adviceOf returns a stand-in for the advice about the token of a phone number ID.
func adviceOf(id string) func(error, string) string {
	return func(err error, help string) string {
		if client.Classify(err).Name != "access token expired or invalid" || help == "" {
			return fmt.Sprintf("%v: %q", err, help)
		}
		return "Renew token-" + id
	}
}

// TestProblemsNameAllHaltedNumbers: the first with the reason, the others by their IDs, within bounds.
func TestProblemsNameAllHaltedNumbers(t *testing.T) {
	t.Parallel()
	lanes := []lane.Status{{PhoneNumberID: "7", Status: verdict.Status{State: verdict.Running}}}
	for i := range 1100 {
		lanes = append(lanes, lane.Status{PhoneNumberID: fmt.Sprint(2000 + i), Status: verdict.Status{State: verdict.Halted, Reason: "why", Help: "help"}})
	}
	got := worker.Problems(lanes[:23])
	if len(got) != 21 || got[0] != "the API refuses phone number ID 2000: why. help" || got[20] != "and of phone number ID 2020, phone number ID 2021" {
		t.Errorf("%q", got)
	}
	if last := worker.Problems(lanes)[20]; !strings.HasSuffix(last, "phone number ID 3019 and 80 more") {
		t.Errorf("%q", last)
	}
}

package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks/redistest"
)

// planObject is the answer of reconcile, as far as the tests look at it.
type planObject struct {
	PhoneNumberID string   `json:"phone_number_id"`
	Desired       int      `json:"desired"`
	Actual        int      `json:"actual"`
	ToBlock       []string `json:"to_block"`
	ToUnblock     []string `json:"to_unblock"`
	Applied       bool     `json:"applied"`
	Hash          string   `json:"hash"`
	Blocks        int      `json:"blocks_enqueued"`
	Unblocks      int      `json:"unblocks_enqueued"`
	LeftAlone     int      `json:"left_alone"`
	Pending       int      `json:"pending"`
	Guards        []struct{ Guard string }
}

// seed puts users on the list behind wablock's back.
func (s *system) seed(numbers []string) {
	s.t.Helper()
	s.post("/_simulator/seed", map[string]any{"phone_number_id": phoneNumberID, "blocked": numbers})
}

func (s *system) post(path string, v any) { s.t.Helper(); s.send(http.MethodPost, path, v) }

func (s *system) send(method, path string, v any) {
	s.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
}

func (s *system) reconcile(code int, args ...string) planObject {
	s.t.Helper()
	return objects[planObject](s.t, s.want(code, s.run(append([]string{"reconcile", "--json"}, args...)...)).out)[0]
}

// unblocked returns the users that the API was asked to unblock.
func (s *system) unblocked() []string {
	s.t.Helper()
	var users []string
	for _, c := range s.journal() {
		if c.Operation != simulator.Unblock {
			continue
		}
		for _, u := range c.Users {
			users = append(users, u.User)
		}
	}
	return users
}

func csv(numbers []string) string { return "phone\n" + strings.Join(numbers, "\n") + "\n" }

// TestReconcileDrift finds and repairs a drift of 500 users in both directions over a list of
// 12,000, whose listing breaks twice, through an API that fails three in a hundred users.
func TestReconcileDrift(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{
		AppSecret: appSecret, Listing: simulator.Listing{MaxLimit: 1000},
		Faults: []simulator.Fault{
			{Operations: []simulator.Operation{simulator.List}, WithCursor: true, Skip: 3, Times: 2, Effect: simulator.EffectFail, Code: 139102},
			{Effect: simulator.EffectFailUser, Code: 139103, Probability: 0.03},
		},
	})
	worker := s.worker("worker", "WABLOCK_RATE=200")
	all := numbers(12_500)
	desired, foreign := all[:12_000], all[12_000:]
	s.seed(append(slices.Clone(desired[500:]), foreign...))
	file := s.file("desired.csv", csv(desired))
	saved := t.TempDir() + "/plan.json"

	plan := s.reconcile(0, "--plan", "--file", file, "--plan-file", saved)
	if d := cmp.Diff(desired[:500], plan.ToBlock); d != "" {
		t.Errorf("to block: %s", d)
	}
	if d := cmp.Diff(foreign, plan.ToUnblock); d != "" {
		t.Errorf("to unblock: %s", d)
	}
	if plan.PhoneNumberID != phoneNumberID || plan.Desired != 12_000 || plan.Actual != 12_000 || plan.Applied || len(plan.Guards) > 0 {
		t.Errorf("plan: %d desired, %d actual, applied %v, %v", plan.Desired, plan.Actual, plan.Applied, plan.Guards)
	}
	if n := len(s.unblocked()); n > 0 {
		t.Errorf("a plan unblocked %d", n)
	}
	applied := s.reconcile(0, "--apply", "--plan-file", saved, "--wait")
	if !applied.Applied || applied.Hash != plan.Hash || applied.Blocks != 500 || applied.Unblocks != 500 || applied.Pending != 0 {
		t.Errorf("%+v", applied)
	}
	var want []string
	for _, n := range desired {
		want = append(want, n[1:])
	}
	if d := cmp.Diff(want, s.list()); d != "" {
		t.Errorf("not what was desired: %s", d)
	}
	again := s.reconcile(0, "--file", file)
	if len(again.ToBlock)+len(again.ToUnblock)+again.LeftAlone != 0 {
		t.Errorf("a second plan: %d to block, %d to unblock, %d left alone", len(again.ToBlock), len(again.ToUnblock), again.LeftAlone)
	}
	if a := s.want(1, s.run("reconcile", "--apply", "--plan-file", saved)); !strings.Contains(a.err, "stale") {
		t.Errorf("a stale plan: %s", a.err)
	}
	s.noOverlaps()
	s.noLeaks(worker)
}

// TestReconcileRefuses meets whatever would make it unblock by accident.
func TestReconcileRefuses(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret})
	s.worker("worker", "WABLOCK_RATE=500")
	all := numbers(400)
	s.seed(all)
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			http.Error(w, csv(all), http.StatusInternalServerError)
		case "/half":
			w.Header().Set("Content-Length", fmt.Sprint(len(csv(all))))
			_, _ = io.WriteString(w, csv(all[:200]))
		default:
			_, _ = io.WriteString(w, csv(all))
		}
	}
	lists := httptest.NewServer(http.HandlerFunc(answer))
	defer lists.Close()
	s.reconcile(0, "--apply", "--source", lists.URL+"/whole")

	text := csv(all)
	for name, c := range map[string]struct {
		code int
		args []string
		says string
	}{
		"a file cut in half": {3, []string{"--file", s.file("half.csv", text[:len(text)/2])}, "guards stopped all"},
		"an empty file":      {2, []string{"--file", s.file("empty.csv", "")}, "it is empty"},
		"no file":            {2, []string{"--file", "/nowhere/numbers.csv"}, "no such file"},
		"a URL that is down": {1, []string{"--source", lists.URL + "/500"}, "status 500"},
		"half an answer":     {1, []string{"--source", lists.URL + "/half"}, "unexpected EOF"},
		"plain http":         {2, []string{"--source", "http://example.com/list.csv"}, "https"},
		"an empty ledger":    {3, []string{"--source", "ledger"}, "guards stopped all"},
	} {
		a := s.want(c.code, s.run(append([]string{"reconcile", "--apply"}, c.args...)...))
		if !strings.Contains(a.err, c.says) {
			t.Errorf("%s: nothing of %q in %s", name, c.says, a.err)
		}
	}
	if redistest.Rounds(t, 0, 1) > 0 { // half a minute of waiting, which TestRead of listing does without
		s.send(http.MethodPut, "/_simulator/scenario", simulator.Scenario{AppSecret: appSecret, Faults: []simulator.Fault{
			{Operations: []simulator.Operation{simulator.List}, WithCursor: true, Effect: simulator.EffectListChanged},
		}})
		a := s.want(1, s.run("reconcile", "--apply", "--file", s.file("one.csv", csv(all[:399]))))
		if !strings.Contains(a.err, "the blocklist changed during each listing") {
			t.Errorf("a listing that never gets quiet: %s", a.err)
		}
	}
	if users := s.unblocked(); len(users) > 0 {
		t.Errorf("%d were unblocked", len(users))
	}
	if h := objects[map[string]any](t, s.want(0, s.run("reconcile", "--history", "--json")).out); len(h) < 6 {
		t.Errorf("%d runs in the history", len(h))
	}
}

// TestReconcileSchedule runs a schedule on five workers, one of which is killed, and stops and
// starts all: each slot runs once, and one of those that were missed meanwhile.
func TestReconcileSchedule(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{AppSecret: appSecret})
	all := numbers(40)
	s.seed(all[:39])
	config := s.file("config.yaml", fmt.Sprintf(`phone_numbers:
  - id: "%s"
    reconcile: {schedule: "@every 2s", source: %s, mode: enforce}
`, phoneNumberID, s.file("desired.csv", csv(all[1:]))))
	var workers []*process
	start := func(n int) {
		for i := range n {
			p := s.start(fmt.Sprintf("worker-%d", i), "worker", "--config", config)
			workers = append(workers, p)
		}
	}
	start(5)
	some := redistest.Rounds(t, 2, 5)
	s.ran("slots have run", some)
	workers[2].kill()
	s.ran("the others go on", len(s.runs())+some)
	for i, w := range workers {
		if i != 2 {
			w.stop()
		}
	}
	stopped := s.runs()
	missed := time.NewTimer(5 * time.Second) // two slots and a half
	<-missed.C
	start(2)
	s.ran("a missed slot is made up for, and the next ones run", len(stopped)+3)

	seen := map[string]bool{}
	for _, r := range s.runs() {
		if r.Error != "" || r.Trigger != "schedule" || seen[r.Slot] {
			t.Errorf("slot %s: %+v", r.Slot, r)
		}
		seen[r.Slot] = true
	}
	var want []string
	for _, n := range all[1:] {
		want = append(want, n[1:])
	}
	if d := cmp.Diff(want, s.list()); d != "" {
		t.Errorf("not what was desired: %s", d)
	}
	page := string(get(t, "http://"+workers[len(workers)-1].httpAddr()+"/metrics"))
	if !strings.Contains(page, "wablock_reconcile_last_success_timestamp_seconds") {
		t.Error("the metrics say nothing of the last good run")
	}
}

// ran waits until there have been n runs.
func (s *system) ran(what string, n int) {
	s.t.Helper()
	tick := time.NewTicker(500 * time.Millisecond) // each look is a process
	defer tick.Stop()
	s.eventually(what, time.Minute, func() bool { <-tick.C; return len(s.runs()) >= n })
}

type runObject struct {
	Slot    string `json:"slot"`
	Trigger string `json:"trigger"`
	Error   string `json:"error"`
}

func (s *system) runs() []runObject {
	s.t.Helper()
	return objects[runObject](s.t, s.want(0, s.run("reconcile", "--history", "--json")).out)
}

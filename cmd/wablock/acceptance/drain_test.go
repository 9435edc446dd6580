package acceptance

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wablock/wablock/client/simulator"
	"github.com/wablock/wablock/tasks"
	"github.com/wablock/wablock/tasks/ledger"
	"github.com/wablock/wablock/tasks/redistest"
	"github.com/wablock/wablock/tasks/user"
)

// ndjson objects, as far as the tests look at them.
type (
	jobObject struct {
		JobID        string `json:"job_id"`
		Accepted     int    `json:"accepted"`
		Succeeded    int    `json:"succeeded"`
		DeadLettered int    `json:"dead_lettered"`
		Pending      int    `json:"pending"`
	}
	statusObject struct {
		User      string `json:"user"`
		Operation string `json:"operation"`
		State     string `json:"state"`
		WaID      string `json:"wa_id"`
		Code      int    `json:"code"`
	}
	deadObject struct {
		User     string `json:"user"`
		Code     int    `json:"code"`
		Attempts int    `json:"attempts"`
	}
)

func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("+1650%07d", 2000000+i)
	}
	return out
}

// TestTwentyThousand drains a file, of 20,000 numbers in its long form, through two workers and an API that limits, forgets and
// fails, and holds list, dead letters and statuses against each other; then it empties the
// list. On the way nothing may show a secret, and no page or log a number.
func TestTwentyThousand(t *testing.T) {
	t.Parallel()
	s := newSystem(t, simulator.Scenario{
		AppSecret: appSecret,
		Window:    simulator.Window{SilentShare: 0.02},
		Limits:    []simulator.Limit{{Rate: 30, Burst: 5}},
		Listing:   simulator.Listing{MaxLimit: 1000},
		Faults: []simulator.Fault{
			{Effect: simulator.EffectFailUser, Code: 139103, Probability: 0.05},
			{Effect: simulator.EffectReset, Applied: true, Probability: 0.03, Operations: []simulator.Operation{simulator.Block, simulator.Unblock}},
		},
		Journal: simulator.JournalLimits{Calls: 50_000, Users: 5_000_000},
	})
	one, two := s.worker("one"), s.worker("two")
	all := numbers(redistest.Rounds(t, 5_000, 20_000))
	file := s.file("numbers.csv", "phone\r\n"+strings.Join(all, "\r\n")+"\r\n")

	job := objects[jobObject](t, s.want(3, s.run("block", "--file", file, "--wait", "--json")).out)[0]
	if job.Accepted != len(all) || job.Pending != 0 || job.Succeeded+job.DeadLettered != len(all) {
		t.Errorf("job: %+v", job)
	}
	dead := map[string]bool{}
	for _, d := range objects[deadObject](t, s.want(0, s.run("dead-letter", "list", "--json")).out) {
		if d.Code != 131047 || dead[d.User] {
			t.Errorf("dead letter: %+v", d)
		}
		dead[d.User] = true
	}
	if len(dead) < len(all)/100 || len(dead) != job.DeadLettered {
		t.Errorf("%d dead letters, %d by the job", len(dead), job.DeadLettered)
	}
	var want []string
	for _, n := range all {
		if !dead[n] {
			want = append(want, n[1:])
		}
	}
	if d := cmp.Diff(want, s.list()); d != "" {
		t.Errorf("the list is not what was accepted less what was dead-lettered: %s", d)
	}
	s.statuses(all, func(o statusObject) bool {
		if dead[o.User] {
			return o.State == "dead_lettered" && o.Code == 131047
		}
		return o.State == "succeeded" && o.Operation == "block" && o.WaID == o.User[1:]
	})

	s.want(0, s.run("unblock", "--file", file, "--wait", "--json"))
	if left := s.list(); len(left) != 0 {
		t.Errorf("%d are still on the list", len(left))
	}
	s.statuses(all, func(o statusObject) bool { return o.State == "succeeded" && o.Operation == "unblock" })
	if left := s.want(0, s.run("dead-letter", "list", "--json")).out; left != "" {
		t.Errorf("dead letters of users that succeeded since: %.300s", left)
	}
	s.noOverlaps()
	s.noLeaks(one, two)
	one.stop()
	two.stop()
}

// list returns the answer of `wablock list`, sorted.
func (s *system) list() []string {
	s.t.Helper()
	var ids []string
	for _, e := range objects[struct {
		WaID string `json:"wa_id"`
	}](s.t, s.want(0, s.run("list", "--json")).out) {
		ids = append(ids, e.WaID)
	}
	slices.Sort(ids)
	return ids
}

// statuses asks for the status of all and fails for those that are not as they should be.
func (s *system) statuses(all []string, ok func(statusObject) bool) {
	s.t.Helper()
	seen := 0
	for part := range slices.Chunk(all, 5000) {
		for _, o := range objects[statusObject](s.t, s.want(0, s.run(append([]string{"status", "--json"}, part...)...)).out) {
			seen++
			if !ok(o) {
				s.t.Fatalf("status: %+v", o)
			}
		}
	}
	if seen != len(all) {
		s.t.Errorf("%d statuses of %d", seen, len(all))
	}
}

func (s *system) noOverlaps() {
	s.t.Helper()
	journal := s.journal()
	operations := map[int64]simulator.Operation{}
	for _, c := range journal {
		operations[c.Seq] = c.Operation
	}
	o := slices.DeleteFunc(simulator.Overlaps(journal), func(o simulator.Overlap) bool {
		return operations[o.First] == operations[o.Second]
	})
	if len(o) > 0 {
		s.t.Errorf("%d times a user was in two calls of different operations at once: %+v", len(o), o[0])
	}
}

// ourNumbers matches the tests' numbers, with and without their plus sign.
var ourNumbers = regexp.MustCompile(`1650[2-9]\d{6}`)

// noLeaks looks for secrets in all that is written, and for numbers in what people look at.
func (s *system) noLeaks(workers ...*process) {
	s.t.Helper()
	pages := map[string]string{"logs": s.logs.String()}
	for _, w := range workers {
		base := "http://" + w.httpAddr()
		for _, path := range []string{
			"/", "/healthz", "/readyz", "/metrics", "/monitor/", "/monitor/api/queues", "/monitor/api/servers",
			"/monitor/api/queues/bulk/completed_tasks?size=100", "/monitor/api/queues/dead-letter/scheduled_tasks?size=100",
			"/monitor/api/queues/bulk/retry_tasks?size=100", "/monitor/api/queues/interactive/completed_tasks?size=100",
		} {
			pages[w.name+path] = string(getAny(s.t, base+path)) // a queue that was never used has none
		}
	}
	for name, text := range pages {
		if n := ourNumbers.FindString(text); n != "" {
			s.t.Errorf("%s shows the number %s", name, n)
		}
		s.noSecret(name, text)
	}
	keys := s.rdb.Scan(s.t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(s.t.Context()) {
		dump, err := s.rdb.Dump(s.t.Context(), keys.Val()).Result()
		if err == nil { // else it has expired since
			s.noSecret("Redis key "+keys.Val(), keys.Val()+dump)
		}
	}
	if err := keys.Err(); err != nil {
		s.t.Error(err)
	}
}

func (s *system) noSecret(where, text string) {
	s.t.Helper()
	for _, secret := range []string{accessToken, appSecret} {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s holds a secret", where)
		}
	}
}

// TestLatestWins asks 3,000 times for 300 users, a third of that in everyday runs, in a known order, of three workers and an API
// of which every fifth call fails.
func TestLatestWins(t *testing.T) {
	t.Parallel()
	sc := simulator.Scenario{
		Latency: simulator.Latency{Base: simulator.Duration(20 * time.Millisecond), Jitter: simulator.Duration(40 * time.Millisecond)},
		Faults: []simulator.Fault{
			{Effect: simulator.EffectReset, Probability: 0.05},
			{Effect: simulator.EffectReset, Applied: true, Probability: 0.05},
			{Effect: simulator.EffectFail, Code: 139103, Probability: 0.05},
			{Effect: simulator.EffectTruncated, Probability: 0.05},
		},
		Journal: simulator.JournalLimits{Calls: 50_000, Users: 5_000_000},
	}
	s := newSystem(t, sc)
	s.env = append(s.env, "WABLOCK_RATE=200", "WABLOCK_BURST=50", "WABLOCK_MAX_USERS_PER_CALL=7")
	for _, name := range []string{"one", "two", "three"} {
		s.worker(name)
	}
	p, err := tasks.NewProducer(s.rdb, tasks.ProducerConfig{PhoneNumberID: phoneNumberID})
	if err != nil {
		t.Fatal(err)
	}
	const seed = 20261122
	rng := rand.New(rand.NewPCG(seed, seed))
	requests := redistest.Rounds(t, 1000, 3000)
	users := numbers(requests / 10)
	last := map[string]ledger.Operation{}
	pace := time.NewTicker(4 * time.Millisecond) // at full speed most requests would collapse
	defer pace.Stop()
	for range requests {
		<-pace.C
		n, op, do := users[rng.IntN(len(users))], ledger.Block, p.Block
		if rng.IntN(2) == 0 {
			op, do = ledger.Unblock, p.Unblock
		}
		if _, err := do(t.Context(), []string{n}); err != nil {
			t.Fatal(err)
		}
		last[n] = op
	}
	l := ledger.New(s.rdb, phoneNumberID)
	s.eventually("all users have ended", time.Minute, func() bool {
		entries, err := l.Entries(t.Context(), idsOf(t, users))
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(entries, func(e ledger.Entry) bool {
			return last[e.User.Reveal()] != "" && (!e.State.Ended() || e.Busy)
		})
	})
	var want []string
	for n, op := range last {
		if op == ledger.Block {
			want = append(want, n[1:])
		}
	}
	slices.Sort(want)
	sc.Faults = nil // which the listing would meet too
	s.send(http.MethodPut, "/_simulator/scenario", sc)
	if d := cmp.Diff(want, s.list()); d != "" {
		t.Errorf("seed %d: some users did not end as last asked: %s", seed, d)
	}
	s.noOverlaps()
	faults := 0
	for _, c := range s.journal() {
		if c.Fault != "" {
			faults++
		}
	}
	if faults < requests/60 {
		t.Errorf("only %d faults: the test proves little", faults)
	}
}

func idsOf(t testing.TB, numbers []string) []user.ID {
	t.Helper()
	ids := make([]user.ID, len(numbers))
	for i, n := range numbers {
		var err error
		if ids[i], err = user.FromCanonical(n); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}
